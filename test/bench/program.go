package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/istioversion"
	"github.com/deckhouse-mesh/istio/lib/names"
)

// component is a program of the module, in one Pod of each cluster.
type component struct{ namespace, selector, container string }

var (
	operatorComponent = component{names.OperatorNamespace, "app=istio-operator", "operator"}
	exporterComponent = component{v1alpha1.Namespace, "app=metadata-exporter", "metadata-exporter"}
	watcherComponent  = component{v1alpha1.Namespace, "app=metadata-watcher", "metadata-watcher"}
)

// istiodComponent is the default revision's control plane.
func istiodComponent() component {
	return component{v1alpha1.Namespace, "app=istiod,istio.io/rev=" + istioversion.Default().Revision(), "discovery"}
}

// program is a container of a component, as it runs now.
type program struct {
	component
	cluster *cluster
	pod     *corev1.Pod
	// id is another one when the container has been started again.
	id string
}

// find the component's one container that is ready.
func (c *cluster) find(ctx context.Context, of component) (*program, error) {
	pods, err := c.typed.CoreV1().Pods(of.namespace).List(ctx, metav1.ListOptions{LabelSelector: of.selector})
	if err != nil {
		return nil, fmt.Errorf("find the Pod of %s in %s: %w", of.container, c.Name, err)
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		// A sidecar is an init container that goes on.
		for _, status := range slices.Concat(pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses) {
			if status.Name == of.container && status.Ready && pod.DeletionTimestamp == nil {
				return &program{component: of, cluster: c, pod: pod, id: status.ContainerID}, nil
			}
		}
	}
	return nil, fmt.Errorf("of %d Pods of %s in %s none is ready", len(pods.Items), of.container, c.Name)
}

// checkSame fails when another container has taken the program's place: it would have begun to count again.
func (p *program) checkSame(ctx context.Context) error {
	now, err := p.cluster.find(ctx, p.component)
	if err != nil {
		return err
	}
	if now.id != p.id {
		return fmt.Errorf("%s was container %s and is %s: it ended in between", p.container, p.id, now.id)
	}
	return nil
}

// spec of the container.
func (p *program) spec() corev1.Container {
	for _, container := range p.pod.Spec.Containers {
		if container.Name == p.container {
			return container
		}
	}
	return corev1.Container{}
}

// port of that name.
func (p *program) port(name string) (string, error) {
	for _, port := range p.spec().Ports {
		if port.Name == name {
			return strconv.Itoa(int(port.ContainerPort)), nil
		}
	}
	return "", fmt.Errorf("container %s of Pod %s has no port %s", p.container, p.pod.Name, name)
}

// address of a port; the fabric routes it where the network is flat.
func (p *program) address(name string) (string, error) {
	port, err := p.port(name)
	return net.JoinHostPort(p.pod.Status.PodIP, port), err
}

// metrics that the program has at the port of that name, by way of the API server.
func (p *program) metrics(ctx context.Context, name string) (map[string]*dto.MetricFamily, error) {
	port, err := p.port(name)
	if err != nil {
		return nil, err
	}
	text, err := p.cluster.typed.CoreV1().Pods(p.namespace).ProxyGet("http", p.pod.Name, port, "metrics", nil).DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the metrics of %s: %w", p.container, err)
	}
	return parseMetrics(text)
}

func parseMetrics(text []byte) (map[string]*dto.MetricFamily, error) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	return families, nil
}

// sumOf the values of a metric's series.
func sumOf(families map[string]*dto.MetricFamily, name string) (sum float64, err error) {
	family, found := families[name]
	if !found {
		return 0, fmt.Errorf("there is no metric %s", name)
	}
	for _, each := range family.GetMetric() {
		sum += each.GetGauge().GetValue() + each.GetCounter().GetValue() + each.GetUntyped().GetValue()
	}
	return sum, nil
}
