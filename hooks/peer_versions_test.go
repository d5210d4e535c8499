package hooks

import (
	"context"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/deckhouse-mesh/istio/lib/peer"
)

var configMapsGVR = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

// versionsConfigMap is the ConfigMap of a kind, "federation" or "multicluster"; as Helm makes it when nothing is written.
func versionsConfigMap(kind string, written map[string]string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "apiVersion: v1\nkind: ConfigMap\nmetadata: {namespace: d8-istio, name: %s-revisions, labels: {heritage: deckhouse, module: istio}}\n", kind)
	if written != nil {
		text.WriteString("data:\n")
	}
	for name, value := range written {
		fmt.Fprintf(&text, "  %s: %q\n", name, value)
	}
	return text.String()
}

// reported is what is written in that ConfigMap.
func (r *run) reported(kind string) map[string]string {
	GinkgoHelper()
	data, _, err := unstructured.NestedStringMap(r.object("ConfigMap", kind+"-revisions").Object, "data")
	Expect(err).NotTo(HaveOccurred())
	return data
}

// report writes as metadata-watcher does.
func (r *run) report(kind, name, value string) {
	GinkgoHelper()
	_, err := r.KubeClient().Resource(configMapsGVR).Namespace("d8-istio").Patch(context.Background(), kind+"-revisions",
		types.MergePatchType, fmt.Appendf(nil, `{"data": {%q: %q}}`, name, value), metav1.PatchOptions{FieldManager: "metadata-watcher"})
	Expect(err).NotTo(HaveOccurred())
}

var _ = Describe("A version that metadata-watcher reports", func() {
	// two are peers, b and c, that were polled already.
	two := func() (b, c *aPeer, r *run) {
		GinkgoHelper()
		b, c = startPeer(), startPeerCalled("c")
		r = newRun(federationDiscovery(peer.NewClient(), nil), federationSettings).given(
			b.resource(""), strings.NewReplacer("cluster-b", "cluster-c", "uid-b", "uid-c").Replace(c.resource("")),
			ownKeypair(), versionsConfigMap("federation", map[string]string{"cluster-b": "b1.b1", "cluster-c": "c1.c1"})).succeeds()
		Expect(readyOf(r, "IstioFederation", "cluster-b")).To(HaveKeyWithValue("status", "True"))
		Expect(readyOf(r, "IstioFederation", "cluster-c")).To(HaveKeyWithValue("status", "True"))
		return b, c, r
	}

	It("has that peer polled, and no other", func() {
		b, c, r := two()
		polledB, polledC := b.requests.Load(), c.requests.Load()
		r.report("federation", "cluster-b", "b1.b2")
		r.succeeds()
		Expect(b.requests.Load()).To(BeNumerically(">", polledB))
		Expect(c.requests.Load()).To(Equal(polledC))

		polledB = b.requests.Load()
		r.succeeds()
		Expect(b.requests.Load()).To(Equal(polledB), "once")
	})

	It("for a resource that does not exist has no peer polled", func() {
		b, c, r := two()
		polled := b.requests.Load() + c.requests.Load()
		r.report("federation", "cluster-d", "d1.d1")
		r.succeeds()
		Expect(b.requests.Load() + c.requests.Load()).To(Equal(polled))
	})

	It("has no peer polled when the ConfigMap is deleted, nor when it exists again with the same content", func() {
		b, c, r := two()
		polled := b.requests.Load() + c.requests.Load()
		configMaps := r.KubeClient().Resource(configMapsGVR).Namespace("d8-istio")
		before, err := configMaps.Get(context.Background(), "federation-revisions", metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(configMaps.Delete(context.Background(), "federation-revisions", metav1.DeleteOptions{})).To(Succeed())
		Expect(r.succeeds().PatchedOperations()).To(BeEmpty())
		_, err = configMaps.Create(context.Background(), before, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		r.succeeds()
		Expect(b.requests.Load() + c.requests.Load()).To(Equal(polled))
	})
})
