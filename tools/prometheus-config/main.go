// Command prometheus-config writes the configuration that prometheus-operator
// would give Prometheus for the monitors and rules of a cluster, made by that
// operator's own packages:
//
//	prometheus-config < objects.json > files.json
//
// objects.json is a List of PodMonitors, ServiceMonitors and PrometheusRules,
// as the API server has them; files.json has the content of each file by its name.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/prometheus-operator/prometheus-operator/pkg/assets"
	"github.com/prometheus-operator/prometheus-operator/pkg/operator"
	"github.com/prometheus-operator/prometheus-operator/pkg/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

const (
	configFile = "prometheus.yaml"
	// rulesFolder is where the operator expects its ConfigMaps of rules: the files of ours are to be below its folder of that name.
	rulesFolder = "module"
	// interval at which targets are scraped and rules evaluated: short, because a test waits for it.
	interval = "5s"
)

// inPod does what the operator's config-reloader does beside Prometheus: it fills in what each Pod knows.
var inPod = strings.NewReplacer("$(SHARD)", "0", "$(POD_NAME)", "prometheus-0")

// monitors and rules of a cluster.
type monitors struct {
	pods     map[string]*monitoringv1.PodMonitor
	services map[string]*monitoringv1.ServiceMonitor
	rules    map[string]*monitoringv1.PrometheusRule
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "prometheus-config: %v\n", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	found, err := read(in)
	if err != nil {
		return err
	}
	files, err := found.files()
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(files)
}

// read the objects of a List.
func read(in io.Reader) (*monitors, error) {
	var list struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := json.NewDecoder(in).Decode(&list); err != nil {
		return nil, fmt.Errorf("read a List of objects: %w", err)
	}
	found := &monitors{
		map[string]*monitoringv1.PodMonitor{}, map[string]*monitoringv1.ServiceMonitor{}, map[string]*monitoringv1.PrometheusRule{},
	}
	for _, raw := range list.Items {
		if err := found.add(raw); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (m *monitors) add(raw json.RawMessage) error {
	var named metav1.PartialObjectMetadata
	if err := json.Unmarshal(raw, &named); err != nil {
		return fmt.Errorf("read an object of the List: %w", err)
	}
	key := named.Namespace + "/" + named.Name
	var err error
	switch named.Kind {
	case monitoringv1.PodMonitorsKind:
		m.pods[key], err = decode[monitoringv1.PodMonitor](raw)
	case monitoringv1.ServiceMonitorsKind:
		m.services[key], err = decode[monitoringv1.ServiceMonitor](raw)
	case monitoringv1.PrometheusRuleKind:
		m.rules[key], err = decode[monitoringv1.PrometheusRule](raw)
	default:
		err = errors.New("it is no PodMonitor, ServiceMonitor or PrometheusRule")
	}
	if err != nil {
		return fmt.Errorf("read %s %s: %w", named.Kind, key, err)
	}
	return nil
}

func decode[T any](raw json.RawMessage) (*T, error) {
	object := new(T)
	return object, json.Unmarshal(raw, object)
}

// files are the configuration and, beside it, the rules of each PrometheusRule.
func (m *monitors) files() (map[string]string, error) {
	wanted := &monitoringv1.Prometheus{
		ObjectMeta: metav1.ObjectMeta{Namespace: "monitoring", Name: "main"},
		Spec: monitoringv1.PrometheusSpec{
			CommonPrometheusFields: monitoringv1.CommonPrometheusFields{ScrapeInterval: interval},
			EvaluationInterval:     interval,
			RuleSelector:           &metav1.LabelSelector{},
		},
	}
	if err := m.check(wanted); err != nil {
		return nil, err
	}
	generator, err := prometheus.NewConfigGenerator(nil, wanted)
	if err != nil {
		return nil, err
	}
	config, err := generator.GenerateServerConfiguration(wanted, m.services, m.pods, nil, nil,
		assets.NewStoreBuilder(nil, nil), nil, nil, nil, []string{rulesFolder})
	if err != nil {
		return nil, fmt.Errorf("generate the configuration of Prometheus: %w", err)
	}
	files := map[string]string{configFile: inPod.Replace(string(config))}
	for _, rule := range m.rules {
		content, err := yaml.Marshal(rule.Spec)
		if err != nil {
			return nil, fmt.Errorf("write the rules of PrometheusRule %s: %w", rule.Name, err)
		}
		files[rule.Namespace+"-"+rule.Name+".yaml"] = string(content)
	}
	return files, nil
}

// check what the operator checks before it takes an object: it leaves out those that are not valid, and only logs that.
func (m *monitors) check(wanted *monitoringv1.Prometheus) error {
	labels, err := prometheus.NewLabelConfigValidator(wanted)
	if err != nil {
		return err
	}
	var problems []error
	relabelings := func(of string, configs []monitoringv1.RelabelConfig) {
		if err := labels.Validate(configs); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", of, err))
		}
	}
	for name, monitor := range m.pods {
		for _, endpoint := range monitor.Spec.PodMetricsEndpoints {
			relabelings("PodMonitor "+name, endpoint.RelabelConfigs)
			relabelings("PodMonitor "+name, endpoint.MetricRelabelConfigs)
		}
	}
	for name, monitor := range m.services {
		for _, endpoint := range monitor.Spec.Endpoints {
			relabelings("ServiceMonitor "+name, endpoint.RelabelConfigs)
			relabelings("ServiceMonitor "+name, endpoint.MetricRelabelConfigs)
		}
	}
	for name, rule := range m.rules {
		for _, err := range operator.ValidateRule(rule.Spec) {
			problems = append(problems, fmt.Errorf("PrometheusRule %s: %w", name, err))
		}
	}
	return errors.Join(problems...)
}
