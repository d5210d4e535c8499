//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/test/support/awaittest"
)

const (
	moduleNamespace = v1alpha1.Namespace
	exporterName    = "metadata-exporter"
	watcherName     = "metadata-watcher"
	// scheduled is the longest that something waits for the module's one-minute schedule, with time to act.
	scheduled = 100 * time.Second
	// prompt is the longest that something that is not scheduled may take on a machine that two labs load.
	prompt = 50 * time.Second
	// restarted is the longest that switching the module or a workload on or off may take. It has room for a
	// kubelet that looks at a Secret or a ConfigMap of a running Pod about once a minute.
	restarted = 120 * time.Second
)

var (
	moduleConfigs    = schema.GroupVersionResource{Group: "deckhouse.io", Version: "v1alpha1", Resource: "moduleconfigs"}
	federations      = schema.GroupVersionResource{Group: v1alpha1.Group, Version: v1alpha1.Version, Resource: v1alpha1.IstioFederationResource}
	serviceEntries   = schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "serviceentries"}
	destinationRules = schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "destinationrules"}
	secrets          = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	configMaps       = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	mutatingWebhooks = schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "mutatingwebhookconfigurations"}
	crds             = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
)

// cluster of a lab.
type cluster struct {
	// stateDir of the lab.
	stateDir, name string
	config         *rest.Config
	typed          kubernetes.Interface
	dynamic        dynamic.Interface
}

func newCluster(stateDir, name string) (*cluster, error) {
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(stateDir, name, "kubeconfig"))
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	config.WarningHandler = nil
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	dyn, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &cluster{stateDir: stateDir, name: name, config: config, typed: typed, dynamic: dyn}, nil
}

// described is what lab.json says of the cluster now.
func (c *cluster) described(t *testing.T) clusterDescription {
	t.Helper()
	described, err := readLab(c.stateDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range described.Clusters {
		if found.Name == c.name {
			return found
		}
	}
	t.Fatalf("lab.json has no cluster %s", c.name)
	return clusterDescription{}
}

// eventually waits until the condition reports nothing missing.
func eventually(t *testing.T, timeout time.Duration, what string, condition func() (missing string)) {
	t.Helper()
	awaittest.Holds(t, timeout, what, condition)
}

// condition of an IstioFederation.
func (c *cluster) condition(name, kind string) (status, reason, message string) {
	return c.conditionOf(federations, name, kind)
}

// conditionOf an IstioFederation or IstioMulticluster.
func (c *cluster) conditionOf(of schema.GroupVersionResource, name, kind string) (status, reason, message string) {
	resource, err := c.dynamic.Resource(of).Get(context.Background(), name, metav1.GetOptions{})
	if err != nil {
		return "", "", err.Error()
	}
	conditions, _, _ := unstructured.NestedSlice(resource.Object, "status", "conditions")
	for _, item := range conditions {
		fields, _ := item.(map[string]any)
		if fields["type"] == kind {
			return text(fields["status"]), text(fields["reason"]), text(fields["message"])
		}
	}
	return "", "", "there is no such condition"
}

func text(value any) string {
	s, _ := value.(string)
	return s
}

func (c *cluster) awaitReady(t *testing.T, federation string, timeout time.Duration) {
	t.Helper()
	eventually(t, timeout, c.name+" is federated with "+federation, func() string {
		if status, reason, message := c.condition(federation, "Ready"); status != "True" {
			return fmt.Sprintf("Ready=%s %s: %s", status, reason, message)
		}
		return ""
	})
}

// awaitPeers waits until the two clusters of the lab report each other ready, as every test may expect and must leave them.
func awaitPeers(t *testing.T) {
	t.Helper()
	suite.a.awaitReady(t, suite.b.name, scheduled)
	suite.b.awaitReady(t, suite.a.name, scheduled)
}

// namespace is made for the test and removed after it.
func (c *cluster) namespace(t *testing.T) string {
	t.Helper()
	return c.labelled(t, nil)
}

// labelled is a namespace that has its labels from the start: an API server may not know yet, when it admits the first Pod,
// what was written after the namespace was made, and would inject no sidecar.
func (c *cluster) labelled(t *testing.T, labels map[string]string) string {
	t.Helper()
	created, err := c.typed.CoreV1().Namespaces().Create(context.Background(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-", Labels: labels},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.typed.CoreV1().Namespaces().Delete(context.Background(), created.GetName(), metav1.DeleteOptions{})
	})
	c.explainFailure(t)
	return created.GetName()
}

// publish makes a published Service with an HTTP and a gRPC port and returns its hostname.
func (c *cluster) publish(t *testing.T, namespace, name string) string {
	t.Helper()
	c.service(t, namespace, name)
	c.label(t, namespace, name, true)
	return c.hostname(t, namespace, name)
}

func (c *cluster) service(t *testing.T, namespace, name string) {
	t.Helper()
	services := c.dynamic.Resource(schema.GroupVersionResource{Version: "v1", Resource: "services"}).Namespace(namespace)
	_, err := services.Create(context.Background(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Service",
		"metadata": map[string]any{"name": name},
		"spec": map[string]any{"ports": []any{
			map[string]any{"name": "http-web", "port": int64(80)},
			map[string]any{"name": "api", "port": int64(9000), "appProtocol": "grpc"},
		}},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) label(t *testing.T, namespace, name string, published bool) {
	t.Helper()
	value := "null"
	if published {
		value = `""`
	}
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{%q:%s}}}`, v1alpha1.PublicServiceLabel, value)
	if _, err := c.typed.CoreV1().Services(namespace).Patch(context.Background(), name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) hostname(t *testing.T, namespace, name string) string {
	t.Helper()
	return strings.Join([]string{name, namespace, "svc", c.described(t).ClusterDomain}, ".")
}

// imported is the ServiceEntry for the hostname, nil when there is none.
func (c *cluster) imported(t *testing.T, hostname string) *unstructured.Unstructured {
	t.Helper()
	list, err := c.dynamic.Resource(serviceEntries).List(context.Background(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range list.Items {
		hosts, _, _ := unstructured.NestedStringSlice(list.Items[i].Object, "spec", "hosts")
		for _, host := range hosts {
			if host == hostname {
				return &list.Items[i]
			}
		}
	}
	return nil
}

func (c *cluster) awaitImported(t *testing.T, hostname string, timeout time.Duration) *unstructured.Unstructured {
	t.Helper()
	var entry *unstructured.Unstructured
	eventually(t, timeout, hostname+" is known in "+c.name, func() string {
		if entry = c.imported(t, hostname); entry == nil {
			return "no ServiceEntry"
		}
		return ""
	})
	return entry
}

func (c *cluster) awaitForgotten(t *testing.T, hostname string, timeout time.Duration) {
	t.Helper()
	eventually(t, timeout, hostname+" is no longer known in "+c.name, func() string {
		if entry := c.imported(t, hostname); entry != nil {
			return "ServiceEntry " + entry.GetName() + " is there"
		}
		return ""
	})
}

// versions of all objects of a resource, by namespace/name, with uid so that a re-created object counts as changed.
func (c *cluster) versions(t *testing.T, resource schema.GroupVersionResource, namespace string, options metav1.ListOptions) map[string]string {
	t.Helper()
	list, err := c.dynamic.Resource(resource).Namespace(namespace).List(context.Background(), options)
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for _, item := range list.Items {
		versions[item.GetNamespace()+"/"+item.GetName()] = string(item.GetUID()) + "@" + item.GetResourceVersion()
	}
	return versions
}

// entriesOf are the versions of the ServiceEntries for Services of one
// namespace: what other tests left may still be going.
func (c *cluster) entriesOf(t *testing.T, namespace string) map[string]string {
	t.Helper()
	versions := c.versions(t, serviceEntries, "", metav1.ListOptions{})
	maps.DeleteFunc(versions, func(name, _ string) bool { return !strings.Contains(name, "."+namespace+".") })
	if len(versions) == 0 {
		t.Fatalf("no ServiceEntry for a Service of namespace %s", namespace)
	}
	return versions
}

// configure merges the patch into the spec of a ModuleConfig.
func (c *cluster) configure(t *testing.T, module string, spec map[string]any) {
	t.Helper()
	patch, err := json.Marshal(map[string]any{"spec": spec})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.dynamic.Resource(moduleConfigs).Patch(context.Background(), module, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// setReplicas sets how many replicas of a component run, and waits until that is so. A Helm run that began before
// writes the chart's number back, so it is set again. generation is that of the Deployment: a later one means that
// somebody has changed it since.
func (c *cluster) setReplicas(t *testing.T, of component, replicas int) (generation int64) {
	t.Helper()
	eventually(t, restarted, fmt.Sprintf("%d replicas of %s run in %s", replicas, of, c.name), func() string {
		deployment, err := c.typed.AppsV1().Deployments(of.namespace).Get(context.Background(), of.name, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if generation = deployment.Generation; *deployment.Spec.Replicas != int32(replicas) {
			c.scale(t, of, replicas)
			return "another number has just been replaced"
		}
		return c.unscaled(of, replicas)
	})
	return generation
}
