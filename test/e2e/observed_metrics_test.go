//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// prometheusConfig is where `make observability` leaves what makes Prometheus' configuration, and the CRDs of that.
var prometheusConfig = filepath.Join("..", "..", ".cache", "tools", "prometheus-config")

// monitorKinds are the resources by which prometheus-operator learns what to scrape, and which rules to evaluate.
var monitorKinds = []schema.GroupVersionResource{
	{Group: "monitoring.coreos.com", Version: "v1", Resource: "podmonitors"},
	{Group: "monitoring.coreos.com", Version: "v1", Resource: "servicemonitors"},
	{Group: "monitoring.coreos.com", Version: "v1", Resource: "prometheusrules"},
}

// moduleMonitors are those that the module renders for a cluster with peers of both kinds.
var moduleMonitors = []string{"alliance-healthcheck", "api-proxy", "istio-sidecars", "istiod", "metadata-exporter", "metadata-watcher"}

const prometheusPod = `apiVersion: v1
kind: Pod
metadata: {name: prometheus, labels: {app: prometheus}}
spec:
  containers:
  - name: prometheus
    image: lab.local/prometheus:1
    args: [--config.file=/etc/prometheus/config/prometheus.yaml, --storage.tsdb.path=/data]
    ports: [{containerPort: 9090}]
    readinessProbe: {httpGet: {path: /-/ready, port: 9090}, periodSeconds: 1}
    volumeMounts:
    - {name: config, mountPath: /etc/prometheus/config}
    - {name: rules, mountPath: /etc/prometheus/rules/module}
    - {name: data, mountPath: /data}
  volumes:
  - {name: config, configMap: {name: config}}
  - {name: rules, configMap: {name: rules}}
  - {name: data, emptyDir: {}}
`

// TestObservedTargetsOfTheModuleAreScraped: in a cluster with the CRDs of prometheus-operator the module says what to
// scrape and when to raise an alert; with what that operator makes of it, Prometheus has the figures that the documentation names.
func TestObservedTargetsOfTheModuleAreScraped(t *testing.T) {
	needObservability(t)
	trafficOf(t) // applications with sidecars
	suite.a.createCRDs(t, filepath.Join(prometheusConfig, "crds"))
	suite.a.reconfigure(t, map[string]any{"multicluster": map[string]any{"enabled": true}})
	suite.a.awaitMonitors(t)
	place := &side{cluster: suite.a, Shop: operator.namespace}
	(&traffic{Here: place}).applyYAML(t, place, documented(t, "INSTALL.md", "kind: ServiceMonitor"))
	p := startPrometheus(t, suite.a)

	t.Run("every target is up", func(t *testing.T) {
		eventually(t, observed, "all programs and proxies are scraped", func() string { return p.unscraped(t) })
	})
	t.Run("named series are there", func(t *testing.T) {
		revision := defaultIstio().Revision()
		for query, what := range map[string]string{
			fmt.Sprintf("pilot_xds{job='istiod',istio_io_rev='%s'} > 0", revision):              "proxies that istiod serves, by revision",
			"sum(rate(pilot_xds_pushes{job='istiod'}[5m])) >= 0":                                "what istiod sends",
			fmt.Sprintf("envoy_server_live{app='api',revision='%s'} == 1", revision):            "Envoy of an application, with its name and revision",
			fmt.Sprintf("envoy_server_live{app='ingressgateway',revision='%s'} == 1", revision): "Envoy of the gateway, with its revision",
			"metadata_exporter_peer_connected{job='metadata-watcher',peer=~'.*'} == 1":          "the watcher's long poll",
			"metadata_exporter_document_bytes{job='metadata-exporter'} > 0":                     "the exporter's documents",
			"sum(alliance_healthcheck_calls_total{job='alliance-healthcheck'}) > 0":             "calls to peers through the mesh",
			"up{job='api-proxy'} == 1": "the API proxy",
			fmt.Sprintf("d8_istio_federation_peer_ready{name='%s'} == 1", suite.b.name): "the module's hooks: a peer is ready",
			"d8_istio_alliance_dataplane_health_check == 1":                             "the module's hooks: the way to a peer",
			fmt.Sprintf("d8_istio_istiod_ready{revision='%s'} == 1", revision):          "the module's hooks: istiod is ready",
		} {
			eventually(t, observed, what, func() string {
				found, err := p.query(query)
				if err != nil {
					return err.Error()
				}
				return unless(len(found) > 0, "nothing answers %s", query)
			})
		}
	})
	t.Run("every rule is evaluated, and no alert fires", func(t *testing.T) {
		eventually(t, observed, "the rules are healthy", func() string { return p.ailing() })
	})
}

// createCRDs from files, unless they are there.
func (c *cluster) createCRDs(t *testing.T, folder string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there is no CRD in %s (%v): make observability", folder, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		crd := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(content, &crd.Object); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if _, err := c.dynamic.Resource(crds).Create(context.Background(), crd, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatalf("%s: %v", file, err)
		}
	}
}

// awaitMonitors waits until the module has said what to scrape and when to raise alerts.
func (c *cluster) awaitMonitors(t *testing.T) {
	t.Helper()
	eventually(t, observed, "the module's PodMonitors and PrometheusRules are there", func() string {
		for kind, wanted := range map[schema.GroupVersionResource]int{monitorKinds[0]: len(moduleMonitors), monitorKinds[2]: 1} {
			list, err := c.dynamic.Resource(kind).Namespace(moduleNamespace).List(context.Background(), metav1.ListOptions{})
			if err != nil {
				return err.Error()
			}
			if len(list.Items) < wanted {
				return fmt.Sprintf("there are %d %s", len(list.Items), kind.Resource)
			}
		}
		return ""
	})
}

// prometheusServer runs in a cluster, in a namespace of its own.
type prometheusServer struct {
	of        *cluster
	component component
}

// startPrometheus with the configuration for what monitors the cluster has now.
func startPrometheus(t *testing.T, in *cluster) *prometheusServer {
	t.Helper()
	namespace := in.namespace(t)
	place := &side{cluster: in, Shop: namespace}
	const config = "prometheus.yaml"
	files := in.prometheusFiles(t)
	contents := map[string]map[string]string{"config": {config: files[config]}, "rules": files}
	delete(files, config)
	for name, content := range contents {
		_, err := in.typed.CoreV1().ConfigMaps(namespace).Create(context.Background(),
			&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: content}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	// What prometheus-operator's documentation gives Prometheus is part of the right to view.
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: namespace}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: "default"}},
	}
	if _, err := in.typed.RbacV1().ClusterRoleBindings().Create(context.Background(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.typed.RbacV1().ClusterRoleBindings().Delete(context.Background(), namespace, metav1.DeleteOptions{})
	})
	(&traffic{Here: place}).applyYAML(t, place, prometheusPod)
	return &prometheusServer{in, component{namespace, "prometheus", "app=prometheus", "prometheus"}}
}

// prometheusFiles are what prometheus-operator would give Prometheus.
func (c *cluster) prometheusFiles(t *testing.T) map[string]string {
	t.Helper()
	all := &unstructured.UnstructuredList{}
	for _, kind := range monitorKinds {
		list, err := c.dynamic.Resource(kind).List(context.Background(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		all.Items = append(all.Items, list.Items...)
	}
	objects, err := json.Marshal(map[string]any{"items": all.Items})
	if err != nil {
		t.Fatal(err)
	}
	var complaints bytes.Buffer
	command := exec.Command(filepath.Join(prometheusConfig, "prometheus-config"))
	command.Stdin, command.Stderr = bytes.NewReader(objects), &complaints
	output, err := command.Output()
	if err != nil {
		t.Fatalf("make Prometheus' configuration: %v: %s", err, complaints.String())
	}
	var files map[string]string
	if err := json.Unmarshal(output, &files); err != nil {
		t.Fatal(err)
	}
	return files
}

// ask the HTTP API.
func (p *prometheusServer) ask(path string, into any) error {
	address, err := p.of.tryAddress(p.component, 9090)
	if err != nil {
		return err
	}
	answer := struct {
		Data any `json:"data"`
	}{into}
	return getJSON("http://"+address+"/api/v1/"+path, &answer)
}

// query returns the labels of each series that answers.
func (p *prometheusServer) query(expression string) ([]map[string]string, error) {
	var found struct {
		Result []struct {
			Metric map[string]string `json:"metric"`
		} `json:"result"`
	}
	err := p.ask("query?"+url.Values{"query": {expression}}.Encode(), &found)
	var series []map[string]string
	for _, one := range found.Result {
		series = append(series, one.Metric)
	}
	return series, err
}

// unscraped names a Pod of the module or a proxy that Prometheus should scrape and does not.
func (p *prometheusServer) unscraped(t *testing.T) (missing string) {
	t.Helper()
	var targets struct {
		Active []struct {
			Labels    map[string]string `json:"labels"`
			Pool      string            `json:"scrapePool"`
			Health    string            `json:"health"`
			LastError string            `json:"lastError"`
		} `json:"activeTargets"`
	}
	if err := p.ask("targets?state=active", &targets); err != nil {
		return err.Error()
	}
	scraped, pools := map[string]bool{}, map[string]bool{}
	for _, target := range targets.Active {
		if target.Health != "up" {
			return fmt.Sprintf("%s of Pod %s is %s: %s", target.Pool, target.Labels["pod"], target.Health, target.LastError)
		}
		pools[target.Pool] = true
		if target.Labels["container"] == proxyContainer {
			scraped[target.Labels["namespace"]+"/"+target.Labels["pod"]] = true
		}
	}
	for _, name := range moduleMonitors {
		if !pools["podMonitor/"+moduleNamespace+"/"+name+"/0"] {
			return fmt.Sprintf("nothing is scraped for PodMonitor %s; there are %v", name, slices.Collect(maps.Keys(pools)))
		}
	}
	for _, proxy := range p.of.proxies(t) {
		if !scraped[proxy] {
			return "the proxy of " + proxy + " is not scraped"
		}
	}
	return ""
}

// proxies are all Pods of the cluster that run one.
func (c *cluster) proxies(t *testing.T) []string {
	t.Helper()
	pods, err := c.typed.CoreV1().Pods(metav1.NamespaceAll).List(context.Background(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for i := range pods.Items {
		pod := &pods.Items[i]
		if status := containerStatus(pod, proxyContainer); status != nil && status.State.Running != nil && pod.DeletionTimestamp == nil {
			found = append(found, pod.Namespace+"/"+pod.Name)
		}
	}
	if len(found) == 0 {
		t.Fatalf("no Pod of %s has a proxy", c.name)
	}
	return found
}

// ailing names a rule that cannot be evaluated, or an alert of the module that fires.
func (p *prometheusServer) ailing() (missing string) {
	var rules struct {
		Groups []struct {
			Name  string `json:"name"`
			Rules []struct {
				Name, Health, LastError, State string
			} `json:"rules"`
		} `json:"groups"`
	}
	if err := p.ask("rules", &rules); err != nil {
		return err.Error()
	}
	if len(rules.Groups) == 0 {
		return "there is no rule"
	}
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			switch {
			case rule.Health != "ok":
				return fmt.Sprintf("rule %s of %s is %s: %s", rule.Name, group.Name, rule.Health, rule.LastError)
			case rule.State == "firing":
				return "alert " + rule.Name + " fires"
			}
		}
	}
	return ""
}
