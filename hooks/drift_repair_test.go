package hooks

import (
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// controlPlane is what Helm applies for the values of driftSettings, and drift_repair restores, by Kind/name.
var controlPlane = []string{
	"Secret/cacerts", "Deployment/istiod-v1x31", "Service/istiod-v1x31", "ConfigMap/istio-v1x31", "ConfigMap/istio-sidecar-injector-v1x31",
	"MutatingWebhookConfiguration/istio-sidecar-injector-v1x31-d8-istio", "ValidatingWebhookConfiguration/istio-validator-v1x31-d8-istio",
	"MutatingWebhookConfiguration/istio-revision-tag-default", "ValidatingWebhookConfiguration/istiod-default-validator",
	"ConfigMap/federation-revisions", "ConfigMap/multicluster-revisions",
}

const driftSettings = `
istio:
  federation: {enabled: true}
  multicluster: {enabled: true}
  internal:
    versions: [{version: "1.31", revision: v1x31, fullVersion: 1.31.3, imageSuffix: V1x31, restartOnReplacedKubeconfig: false}]
    globalRevision: v1x31
    defaultRevision: v1x31
    webhookRevisions: [v1x31]
`

// helmEntry and the others are entries of metadata.managedFields.
const (
	helmEntry = `{manager: operator, operation: Update, time: "2030-11-22T11:00:00Z", fieldsV1: {f:metadata: {f:labels: {.: {}, f:heritage: {}}},
  f:data: {f:mesh: {}}, f:spec: {f:replicas: {}}, f:webhooks: {'k:{"name":"a"}': {.: {}, f:failurePolicy: {}}}}}`
	restartEntry = `{manager: kubectl-rollout, operation: Update, time: "2030-11-22T11:30:00Z", fieldsV1: {f:spec: {f:template: {f:metadata: {f:annotations: {.: {}, f:kubectl.kubernetes.io/restartedAt: {}}}}}}}`
	scaleEntry   = `{manager: kubectl-edit, operation: Update, time: "2030-11-22T11:30:00Z", fieldsV1: {f:spec: {f:replicas: {}}}}`
	statusEntry  = `{manager: kube-controller-manager, operation: Update, subresource: status, time: "2030-11-22T11:30:00Z", fieldsV1: {f:spec: {f:paused: {}}}}`
	labelEntry   = `{manager: kubectl-label, operation: Update, time: "2030-11-22T11:30:00Z", fieldsV1: {f:metadata: {f:labels: {f:mine: {}}}}}`
	pauseEntry   = `{manager: kubectl-rollout, operation: Update, time: "2030-11-22T11:30:00Z", fieldsV1: {f:spec: {f:paused: {}}}}`
)

func dataEdited(at string) string {
	return fmt.Sprintf(`{manager: kubectl-edit, operation: Update, time: %q, fieldsV1: {f:data: {f:mesh: {}}}}`, at)
}

func policyEdited(at string) string {
	return fmt.Sprintf(`{manager: kubectl-patch, operation: Update, time: %q, fieldsV1: {f:webhooks: {'k:{"name":"a"}': {f:failurePolicy: {}}}}}`, at)
}

var _ = Describe("Hook drift_repair", func() {
	versions := map[string]string{
		"Secret": "v1", "ConfigMap": "v1", "Service": "v1", "Deployment": "apps/v1",
		"MutatingWebhookConfiguration": "admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration": "admissionregistration.k8s.io/v1",
	}
	// object is one of the module's, with entries of managedFields besides Helm's.
	object := func(key string, entries ...string) string {
		kind, name, _ := strings.Cut(key, "/")
		namespace := "namespace: d8-istio, "
		if strings.HasSuffix(kind, "WebhookConfiguration") {
			namespace = ""
		}
		return fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata:\n  {%sname: %s, labels: {heritage: deckhouse, module: istio}, managedFields: [%s]}\n",
			versions[kind], kind, namespace, name, strings.Join(append([]string{helmEntry}, entries...), ", "))
	}
	// with returns the control plane, one object replaced; none when it is "".
	with := func(key, replacement string) []string {
		var objects []string
		for _, each := range controlPlane {
			switch {
			case each != key:
				objects = append(objects, object(each))
			case replacement != "":
				objects = append(objects, replacement)
			}
		}
		return objects
	}
	newDriftRun := func() *run {
		GinkgoHelper()
		r := newRun(driftRepair(), driftSettings)
		r.ValuesSet(renderedPath, controlPlane)
		return r
	}
	repair := func(r *run) string { return r.ValuesGet(repairPath).String() }
	drifted := func(r *run) []string {
		found := []string{}
		for labels := range r.series(driftMetric, "object", "by") {
			found = append(found, strings.TrimSpace(labels))
		}
		return found
	}

	It("requests nothing while all objects are as Helm left them", func() {
		r := newDriftRun().given(with("", "")...).succeeds()
		Expect(repair(r)).To(BeEmpty())
		Expect(drifted(r)).To(BeEmpty())
		Expect(r.PatchedOperations()).To(BeEmpty())
	})

	It("requests nothing before the first installation", func() {
		r := newRun(driftRepair(), driftSettings).given().succeeds()
		Expect(repair(r)).To(BeEmpty())
	})

	for _, key := range controlPlane {
		It("misses "+key, func() {
			r := newDriftRun().given(with(key, "")...).succeeds()
			Expect(repair(r)).To(HavePrefix("2030-11-22T12:00:10Z gone:"))
			Expect(drifted(r)).To(ConsistOf(key))
			Expect(r.PatchedOperations()).To(BeEmpty())
		})
	}

	It("requests again when the same object is deleted again, and not in between", func() {
		r := newDriftRun().given(with("Secret/cacerts", "")...).succeeds()
		first := repair(r)
		r.clock.Advance(time.Minute)
		Expect(repair(r.given(with("", "")...).succeeds())).To(Equal(first))
		Expect(repair(r.given(with("Secret/cacerts", "")...).succeeds())).To(HavePrefix("2030-11-22T12:01:10Z gone:"))
	})

	It("requests an object that has lost the module's labels", func() {
		const key = "ConfigMap/istio-v1x31"
		r := newDriftRun().given(with(key, strings.ReplaceAll(object(key), "module: istio", "module: mine"))...).succeeds()
		Expect(drifted(r)).To(ConsistOf(key))
	})

	It("requests once for an edit, and again for a later one", func() {
		const key = "ConfigMap/istio-v1x31"
		r := newDriftRun().given(with(key, object(key, dataEdited("2030-11-22T11:30:00Z")))...).succeeds()
		first := repair(r)
		Expect(first).To(HavePrefix("2030-11-22T12:00:10Z "))
		Expect(drifted(r)).To(ConsistOf(key + " kubectl-edit"))
		r.clock.Advance(time.Minute)
		Expect(repair(r.succeeds())).To(Equal(first))
		Expect(drifted(r)).To(ConsistOf(key + " kubectl-edit"))
		r.given(with(key, object(key, dataEdited("2030-11-22T11:45:00Z")))...).succeeds()
		Expect(repair(r)).To(HavePrefix("2030-11-22T12:01:10Z "))
	})

	It("corrects a program that edits an object again and again a few times, and then says which one it is", func() {
		const key = "ConfigMap/istio-v1x31"
		r := newDriftRun()
		requests := map[string]bool{}
		for second := range 20 {
			r.clock.Advance(5 * time.Second)
			r.given(with(key, object(key, dataEdited(fmt.Sprintf("2030-11-22T11:30:%02dZ", second))))...).succeeds()
			requests[repair(r)] = true
		}
		Expect(requests).To(HaveLen(5))
		Expect(drifted(r)).To(ConsistOf(HavePrefix(key+" ")), "the alert has something to say")
		Expect(r.events(contestedEvent)).To(ConsistOf(And(ContainSubstring(key), ContainSubstring("is written again and again by the field manager"))))
	})

	It("sees an edited webhook", func() {
		r := newDriftRun().given(with("MutatingWebhookConfiguration/istio-revision-tag-default",
			object("MutatingWebhookConfiguration/istio-revision-tag-default", policyEdited("2030-11-22T11:30:00Z")))...).succeeds()
		Expect(drifted(r)).To(ConsistOf("MutatingWebhookConfiguration/istio-revision-tag-default kubectl-patch"))
	})

	It("sees a paused istiod, and ignores a restart, replicas, labels, and what controllers write", func() {
		const key = "Deployment/istiod-v1x31"
		r := newDriftRun().given(with(key, object(key, restartEntry, scaleEntry, statusEntry, labelEntry))...).succeeds()
		Expect(drifted(r)).To(BeEmpty())
		r.given(with(key, object(key, restartEntry, pauseEntry))...).succeeds()
		Expect(drifted(r)).To(ConsistOf(key + " kubectl-rollout"))
	})

	It("ignores the content of the ConfigMaps that metadata-watcher fills, and is not woken by it", func() {
		const key = "ConfigMap/federation-revisions"
		written := func(manager, at string) string {
			return fmt.Sprintf(`{manager: %s, operation: Update, time: %q, fieldsV1: {f:data: {.: {}, f:cluster-b: {}}}}`, manager, at)
		}
		r := newDriftRun().given(with(key, object(key, written("metadata-watcher", "2030-11-22T11:30:00Z"), written("kubectl-patch", "2030-11-22T11:30:00Z")))...).succeeds()
		Expect(drifted(r)).To(BeEmpty())
		Expect(repair(r)).To(BeEmpty())
		texts := func() (texts []string) {
			for _, object := range r.Snapshots().Get("config_maps") {
				texts = append(texts, object.String())
			}
			return texts
		}
		before := texts()
		Expect(before).NotTo(BeEmpty())
		r.given(with(key, object(key, written("metadata-watcher", "2030-11-22T11:30:01Z")))...).succeeds()
		Expect(texts()).To(ConsistOf(before))
	})

	for name, change := range map[string]string{
		"is immutable":         "immutable: true\n",
		"has binaryData":       "binaryData: {cluster-b: aGVsbG8=}\n",
		"holds more than fits": "data: {cluster-b: " + strings.Repeat("x", versionsLimit) + "}\n",
		"has other data":       "data: {cluster-b: aaaaaaaaaaaa.bbbbbbbbbbbb, strange: text}\n",
	} {
		unwritable := name != "has other data"
		It(fmt.Sprintf("deletes a ConfigMap that metadata-watcher fills when it %s: %v", name, unwritable), func() {
			const key = "ConfigMap/federation-revisions"
			r := newDriftRun().given(with(key, object(key)+change)...).succeeds()
			Expect(r.KubernetesResource("ConfigMap", "d8-istio", "federation-revisions") == nil).To(Equal(unwritable))
			Expect(r.KubernetesResource("ConfigMap", "d8-istio", "multicluster-revisions")).NotTo(BeNil())
			Expect(repair(r)).To(BeEmpty(), "Helm runs once it is deleted")
		})
	}

	It("does not delete other ConfigMaps that are immutable", func() {
		const key = "ConfigMap/istio-v1x31"
		r := newDriftRun().given(with(key, object(key)+"immutable: true\n")...).succeeds()
		Expect(r.KubernetesResource("ConfigMap", "d8-istio", "istio-v1x31")).NotTo(BeNil())
	})

	It("continues from what the last process requested", func() {
		shown := "apiVersion: v1\nkind: Namespace\nmetadata: {name: d8-istio, annotations: {istio.deckhouse.io/repair: before}}\n"
		r := newDriftRun().given(append(with("", ""), shown)...).succeeds()
		Expect(repair(r)).To(Equal("before"))
	})
})

func asAny(texts []string) []any {
	values := make([]any, len(texts))
	for index, text := range texts {
		values[index] = text
	}
	return values
}
