package hooks

import (
	"encoding/json"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/deckhouse-mesh/istio/lib/peer"
)

var _ = Describe("Hook multicluster_discovery", func() {
	polled := func() (*aPeer, *run) {
		GinkgoHelper()
		exporter := startPeer().ofSameMesh()
		r := newRun(multiclusterDiscovery(apiAt{peer.NewClient(), exporter}), multiclusterSettings).given(exporter.multicluster(), ownKeypair()).succeeds()
		Expect(readyOf(r, "IstioMulticluster", "b")).To(HaveKeyWithValue("status", "True"))
		return exporter, r
	}

	It("fetches, judges, asks the API, and writes status and metrics", func() {
		exporter, r := polled()
		encoded, err := json.Marshal(r.KubernetesGlobalResource("IstioMulticluster", "b").Object["status"])
		Expect(err).NotTo(HaveOccurred())
		Expect(encoded).To(And(ContainSubstring(`"networkName":"network-b"`), ContainSubstring(`"clusterUUID":"uuid-b"`)))
		Expect(exporter.requests.Load()).To(BeEquivalentTo(3))
		for _, name := range []string{multiclusterPeerReadyMetric, multiclusterAPIMetric} {
			value, found := r.metric(name)
			Expect(found).To(BeTrue(), name)
			Expect(value).To(BeEquivalentTo(1), name)
		}
	})

	It("neither polls nor writes when nothing has changed within a minute, and writes only the time of contact after it", func() {
		exporter, r := polled()
		asked := exporter.requests.Load()
		r.clock.Advance(20 * time.Second)
		Expect(r.succeeds().statusWrites()).To(BeEmpty())
		Expect(exporter.requests.Load()).To(Equal(asked))
		r.clock.Advance(time.Minute)
		Expect(r.succeeds().statusWrites()).To(HaveLen(1))
		Expect(exporter.requests.Load()).To(Equal(asked + 3))
	})

	It("reports within a minute that the API does not answer, and retains what was learned", func() {
		exporter, r := polled()
		exporter.documents["/version"] = map[string]string{"kind": "Status"}
		r.clock.Advance(time.Minute)
		r.succeeds()
		Expect(readyOf(r, "IstioMulticluster", "b")).To(And(HaveKeyWithValue("status", "False"), HaveKeyWithValue("reason", "PeerAPIUnexpectedAnswer")))
		value, _ := r.metric(multiclusterAPIMetric)
		Expect(value).To(BeEquivalentTo(0))
		network, _, err := unstructured.NestedString(r.KubernetesGlobalResource("IstioMulticluster", "b").Object, "status", "metadataCache", "private", "networkName")
		Expect(err).NotTo(HaveOccurred())
		Expect(network).To(Equal("network-b"))
	})

	It("does not poll while multicluster is off, and reports it", func() {
		exporter := startPeer().ofSameMesh()
		r := newRun(multiclusterDiscovery(apiAt{peer.NewClient(), exporter}), federationSettings).given(exporter.multicluster(), ownKeypair()).succeeds()
		Expect(readyOf(r, "IstioMulticluster", "b")).To(HaveKeyWithValue("reason", "MulticlusterDisabled"))
		Expect(exporter.requests.Load()).To(BeZero())
	})
})
