package hooks

import (
	"fmt"
	"strings"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
)

// settingsWithoutPeers enable the control plane alone.
const settingsWithoutPeers = `
global:
  discovery: {clusterDomain: cluster-a.local, clusterUUID: uuid-a, kubernetesVersion: 1.34.3}
istio:
  internal: {}
`

// installedVersions is what istio_versions leaves to the hooks after it.
const installedVersions = `
global:
  discovery: {clusterDomain: cluster-a.local, clusterUUID: uuid-a}
istio:
  internal:
    versions:
    - {version: "1.31", revision: v1x31, fullVersion: 1.31.3, imageSuffix: V1x31, restartOnReplacedKubeconfig: false}
    - {version: "1.30", revision: v1x30, fullVersion: 1.30.7, imageSuffix: V1x30, restartOnReplacedKubeconfig: false}
    globalRevision: v1x31
`

func aNamespace(name, labels string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {%s}}\n", name, labels)
}

// aPod has labels and annotations given as the content of YAML in braces.
func aPod(namespace, name, labels, annotations string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {namespace: %s, name: %s, labels: {%s}, annotations: {%s}}
spec: {containers: [{name: app, image: app}]}
status: {phase: Running}
`, namespace, name, labels, annotations)
}

// anInjectedPod is one as the webhook returns it.
func anInjectedPod(namespace, name, revision, fullVersion string) string {
	return aPod(namespace, name, "service.istio.io/canonical-name: "+name,
		fmt.Sprintf(`sidecar.istio.io/status: '{"containers":["istio-proxy"],"revision":%q}', istio.deckhouse.io/full-version: %q`, revision, fullVersion))
}

func anIstiod(revision string, ready bool) string {
	status := "False"
	if ready {
		status = "True"
	}
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {namespace: d8-istio, name: istiod-%[1]s-0, labels: {app: istiod, istio.io/rev: %[1]s}}
status: {conditions: [{type: Ready, status: %[2]q}]}
`, revision, status)
}

func anIstiodDeployment(revision string) string {
	return fmt.Sprintf("apiVersion: apps/v1\nkind: Deployment\nmetadata: {namespace: d8-istio, name: istiod-%s}\n", revision)
}

func aMutatingWebhook(name, labels, serviceNamespace string) string {
	return fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: %s, labels: {%s}}
webhooks: [{name: a.istio.io, clientConfig: {service: {namespace: %s, name: istiod}}, sideEffects: None, admissionReviewVersions: [v1]}]
`, name, labels, serviceNamespace)
}

// revisions lists those of internal.versions.
func (r *run) revisions() string {
	var names []string
	for _, version := range r.ValuesGet(versionsPath).Array() {
		names = append(names, version.Get("revision").String())
	}
	return strings.Join(names, " ")
}

// series returns the values of a metric by the values of its labels, in the
// order of keys.
func (r *run) series(name string, keys ...string) map[string]float64 {
	found := map[string]float64{}
	for _, metric := range r.CollectedMetrics() {
		if metric.Name != name || metric.Value == nil {
			continue
		}
		var labels []string
		for _, key := range keys {
			labels = append(labels, metric.Labels[key])
		}
		Expect(found).NotTo(HaveKey(strings.Join(labels, " ")), "a series set twice")
		found[strings.Join(labels, " ")] = *metric.Value
	}
	return found
}

// events lists the messages of the Events with that reason that the last run wrote, or would have if they had not existed.
func (r *run) events(reason string) []string {
	var messages []string
	for _, event := range r.writtenEvents(reason) {
		messages = append(messages, event.Message)
	}
	return messages
}

// writtenEvents are those with that reason that the last run sent to the API server.
func (r *run) writtenEvents(reason string) []corev1.Event {
	var events []corev1.Event
	for _, action := range r.hooksClient().Actions() {
		create, ok := action.(clienttesting.CreateAction)
		if !ok || action.GetResource().Resource != "events" {
			continue
		}
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(create.GetObject())
		Expect(err).NotTo(HaveOccurred())
		var event corev1.Event
		Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(content, &event)).To(Succeed())
		if event.Reason == reason {
			events = append(events, event)
		}
	}
	return events
}
