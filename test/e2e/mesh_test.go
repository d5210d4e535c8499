//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/retry"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
	"github.com/deckhouse-mesh/istio/test/mesh"
)

const proxyContainer = "istio-proxy"

// inMesh makes every Pod of a namespace part of the mesh.
var inMesh = map[string]string{"istio-injection": "enabled"}

var (
	virtualServices       = schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "virtualservices"}
	peerAuthentications   = schema.GroupVersionResource{Group: "security.istio.io", Version: "v1", Resource: "peerauthentications"}
	authorizationPolicies = schema.GroupVersionResource{Group: "security.istio.io", Version: "v1", Resource: "authorizationpolicies"}
)

// defaultIstio is the version of Istio that clusters run unless their settings say otherwise.
func defaultIstio() istioversion.Version { return istioversion.Default() }

// installEveryVersion has every version of Istio run in the cluster for the test, and waits until each serves.
func (c *cluster) installEveryVersion(t *testing.T) {
	t.Helper()
	var additional []any
	for _, version := range istioversion.All() {
		if version != defaultIstio() {
			additional = append(additional, version.Version)
		}
	}
	c.reconfigure(t, map[string]any{"additionalVersions": additional})
	for _, version := range istioversion.All() {
		c.awaitMesh(t, version)
	}
}

// awaitMesh waits until sidecars of the version are injected and served in the cluster, as every test may expect.
func (c *cluster) awaitMesh(t *testing.T, version istioversion.Version) {
	t.Helper()
	eventually(t, restarted, fmt.Sprintf("istiod %s of %s serves and injects", version.Revision(), c.name), func() string {
		_, err := c.typed.AdmissionregistrationV1().MutatingWebhookConfigurations().
			Get(context.Background(), injectorOf(version), metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		return c.installed(version)
	})
}

// installedVersions are those of which an istiod is ready, the newest first.
func (c *cluster) installedVersions() (versions []istioversion.Version) {
	for _, version := range istioversion.All() {
		if c.installed(version) == "" {
			versions = append(versions, version)
		}
	}
	return versions
}

// injectorOf is the webhook configuration that injects sidecars of the version.
func injectorOf(version istioversion.Version) string {
	return "istio-sidecar-injector-" + version.Revision() + "-" + moduleNamespace
}

// relabel changes labels of a namespace; an empty value takes the label away.
func (c *cluster) relabel(t *testing.T, namespace string, labels map[string]string) {
	t.Helper()
	values := map[string]any{}
	for name, value := range labels {
		if values[name] = value; value == "" {
			values[name] = nil
		}
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": values}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.typed.CoreV1().Namespaces().Patch(context.Background(), namespace, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// admit asks the API server what would become of the Pod, webhooks included.
func (c *cluster) admit(pod *corev1.Pod) (*corev1.Pod, error) {
	return c.typed.CoreV1().Pods(pod.Namespace).Create(context.Background(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}

// run the Pod, and wait until it has an address.
func (c *cluster) run(t *testing.T, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	c.begin(t, pod)
	return c.awaitPod(t, pod, "has an address", func(running *corev1.Pod) bool { return running.Status.PodIP != "" })
}

// begin creates the Pod.
func (c *cluster) begin(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	pods := c.typed.CoreV1().Pods(pod.Namespace)
	eventually(t, prompt, "Pod "+pod.Name+" is accepted", func() string {
		_, err := pods.Create(context.Background(), pod, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			return "" // the answer to the last attempt was lost
		}
		return because(err) // the controller may not have made the namespace's ServiceAccount yet
	})
}

// runReady runs the Pod, and waits until it takes requests.
func (c *cluster) runReady(t *testing.T, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	return c.awaitReadyPod(t, c.run(t, pod))
}

func (c *cluster) awaitReadyPod(t *testing.T, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	return c.awaitPod(t, pod, "is ready", func(running *corev1.Pod) bool {
		return slices.ContainsFunc(running.Status.Conditions, func(condition corev1.PodCondition) bool {
			return condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue
		})
	})
}

func (c *cluster) awaitPod(t *testing.T, pod *corev1.Pod, what string, is func(*corev1.Pod) bool) *corev1.Pod {
	t.Helper()
	var running *corev1.Pod
	eventually(t, restarted, "Pod "+pod.Name+" "+what, func() string {
		var err error
		if running, err = c.typed.CoreV1().Pods(pod.Namespace).Get(context.Background(), pod.Name, metav1.GetOptions{}); err != nil {
			return err.Error()
		}
		if !is(running) {
			return inWords(running)
		}
		return ""
	})
	return running
}

// inWords is how far a Pod has come.
func inWords(pod *corev1.Pod) string {
	words := "it is " + string(pod.Status.Phase) + " " + pod.Status.Message
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for _, status := range statuses {
			switch {
			case status.State.Waiting != nil:
				words += fmt.Sprintf("; container %s waits: %s %s", status.Name, status.State.Waiting.Reason, status.State.Waiting.Message)
			case status.State.Terminated != nil && status.State.Terminated.ExitCode != 0:
				words += fmt.Sprintf("; container %s has ended: %s, exit code %d", status.Name, status.State.Terminated.Reason, status.State.Terminated.ExitCode)
			case status.State.Running != nil && !status.Ready:
				words += fmt.Sprintf("; container %s is not ready", status.Name)
			}
		}
	}
	return words
}

// serve makes a Service for the Pods with label app=name, with an HTTP port 80
// and a TCP port 9000, and returns its hostname. Its Pods count before they are ready, for tests of what istiod says of them.
func (c *cluster) serve(t *testing.T, namespace, name string) string {
	t.Helper()
	_, err := c.typed.CoreV1().Services(namespace).Create(context.Background(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": name}, PublishNotReadyAddresses: true,
			Ports: []corev1.ServicePort{
				{Name: "http-web", Port: 80, TargetPort: intstr.FromInt32(applicationPort)},
				{Name: "tcp-raw", Port: rawPort, TargetPort: intstr.FromInt32(rawPort)},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return c.hostname(t, namespace, name)
}

// proxyOf is the sidecar of a Pod.
func (c *cluster) proxyOf(t *testing.T, pod *corev1.Pod, version istioversion.Version) mesh.Proxy {
	t.Helper()
	described := c.described(t)
	return mesh.Proxy{
		IP: pod.Status.PodIP, Pod: pod.Name, Namespace: pod.Namespace, ServiceAccount: pod.Spec.ServiceAccountName,
		Labels: pod.Labels, ClusterDomain: described.ClusterDomain, ClusterID: described.ClusterUUID, Version: version.ModuleFull(),
		Metadata: networkOf(pod),
	}
}

// networkOf the Pod is what its sidecar reports as its own, where injection has set it.
func networkOf(pod *corev1.Pod) map[string]any {
	if sidecar := sidecarIn(pod); sidecar != nil {
		for _, variable := range sidecar.Env {
			if variable.Name == "ISTIO_META_NETWORK" {
				return map[string]any{"NETWORK": variable.Value}
			}
		}
	}
	return nil
}

// sidecar of the Pod, connected to istiod of the version.
func (c *cluster) sidecar(t *testing.T, pod *corev1.Pod, version istioversion.Version) *mesh.Client {
	t.Helper()
	connection, err := mesh.DialPlaintext(c.xds(t, version))
	if err != nil {
		t.Fatal(err)
	}
	client, err := mesh.Connect(connection, c.proxyOf(t, pod, version))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		_ = connection.Close()
	})
	return client
}

// awaitView waits until the sidecar has received what the condition wants.
func awaitView(t *testing.T, sidecar *mesh.Client, what string, condition func(*mesh.View) (missing string)) {
	t.Helper()
	awaitWithin(t, prompt, sidecar, what, condition)
}

func awaitWithin(t *testing.T, within time.Duration, sidecar *mesh.Client, what string, condition func(*mesh.View) (missing string)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if _, err := sidecar.Await(ctx, condition); err != nil {
		t.Fatalf("not within %s: %s: %v", within, what, err)
	}
}

// apply creates an object of Istio's, as a person would with kubectl.
func (c *cluster) apply(t *testing.T, resource schema.GroupVersionResource, kind, namespace, name string, spec map[string]any) {
	t.Helper()
	if err := c.try(resource, kind, namespace, name, nil, spec); err != nil {
		t.Fatalf("create %s %s: %v", kind, name, err)
	}
}

func (c *cluster) try(resource schema.GroupVersionResource, kind, namespace, name string, labels map[string]string, spec map[string]any) error {
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": resource.GroupVersion().String(), "kind": kind,
		"metadata": map[string]any{"name": name, "namespace": namespace}, "spec": spec,
	}}
	object.SetLabels(labels)
	return create(c.dynamic.Resource(resource).Namespace(namespace), object)
}

// slowly is how a request is repeated that a loaded machine did not answer.
var slowly = wait.Backoff{Duration: time.Second, Steps: 20}

// create the object. A request that nobody has decided, as a webhook did not answer within its ten seconds, is repeated.
func create(in dynamic.ResourceInterface, object *unstructured.Unstructured) error {
	repeated := false
	undecided := func(err error) bool {
		repeated = apierrors.IsInternalError(err) || apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err)
		return repeated
	}
	return retry.OnError(slowly, undecided, func() error {
		_, err := in.Create(context.Background(), object, metav1.CreateOptions{})
		if repeated && apierrors.IsAlreadyExists(err) {
			return nil // the answer was lost
		}
		return err
	})
}

// oncePerTest is for what a test does once for each cluster.
type oncePerTest struct{ done sync.Map }

// first is true in the test's first call for the cluster.
func (o *oncePerTest) first(t *testing.T, c *cluster) bool {
	t.Helper()
	key := t.Name() + " " + c.name
	_, known := o.done.LoadOrStore(key, true)
	if !known {
		t.Cleanup(func() { o.done.Delete(key) })
	}
	return !known
}

// restored are the settings that are restored when the test ends.
var restored oncePerTest

// reconfigure merges settings of the module; after the test they are again what they were before its first call. They
// do not go through those of other calls: the operator might apply these, too, while the next test runs.
func (c *cluster) reconfigure(t *testing.T, settings map[string]any) {
	t.Helper()
	if restored.first(t, c) {
		config, err := c.dynamic.Resource(moduleConfigs).Get(context.Background(), suite.module, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		before, _, _ := unstructured.NestedMap(config.Object, "spec", "settings")
		t.Cleanup(func() {
			patch, err := json.Marshal([]map[string]any{{"op": "replace", "path": "/spec/settings", "value": before}})
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, prompt, "restore the settings of "+c.name, func() string {
				_, err := c.dynamic.Resource(moduleConfigs).Patch(context.Background(), suite.module, types.JSONPatchType, patch, metav1.PatchOptions{})
				return because(err)
			})
		})
	}
	c.configure(t, suite.module, map[string]any{"settings": settings})
}

// tokenFor a ServiceAccount, as a kubelet would give it to a Pod.
func (c *cluster) tokenFor(t *testing.T, namespace, account, audience string) string {
	t.Helper()
	var token string
	eventually(t, prompt, "a token for ServiceAccount "+account, func() string {
		review, err := c.typed.CoreV1().ServiceAccounts(namespace).CreateToken(context.Background(), account,
			&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{audience}}}, metav1.CreateOptions{})
		if err != nil {
			return err.Error()
		}
		token = review.Status.Token
		return ""
	})
	return token
}
