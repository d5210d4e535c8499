package hooks

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/deckhouse-mesh/istio/lib/metadata"
)

var _ = Describe("Hook alliance_metadata for clusters of the same mesh", func() {
	It("collects which peers' tokens are accepted, and what the mesh needs of them", func() {
		r := newRun(allianceMetadata(), multiclusterSettings).given(aMulticluster("b", ""), aMulticluster("flat", "  enableIngressGateway: false")).succeeds()
		Expect(r.ValuesGet(remotePublicMetadataPath).Get("uuid-b").Raw).To(MatchJSON(
			`{"kind": "IstioMulticluster", "name": "b", "resourceUID": "uid-b", "clusterUUID": "uuid-b", "trustDomain": "cluster-a.local", "authnKeyPub": "key of b", "rootCA": "root of b"}`))
		Expect(r.ValuesGet(multiclustersPath).Raw).To(MatchJSON(`[
			{"name": "b", "trustDomain": "cluster-a.local", "networkName": "network-b", "ingressGateways": [{"address": "192.0.2.7", "port": 15443}], "anchors": []},
			{"name": "flat", "trustDomain": "cluster-a.local", "networkName": "network-flat", "ingressGateways": [], "anchors": []}
		]`))
		Expect(r.ValuesGet(gatewayWantedPath).Bool()).To(BeTrue())
	})

	It("bounds the trust in their roots to the common domain, beside a federation of the same name", func() {
		exporter := startPeer().ofSameMesh()
		root := exporter.documents["/metadata/"+metadata.PublicPath].(metadata.Public).RootCA
		with := func(manifest string) string {
			return strings.Replace(manifest, "rootCA: root of b}", "rootCA: \""+strings.ReplaceAll(root, "\n", "\\n")+"\"}", 1)
		}
		federated := strings.ReplaceAll(aFederation("b"), "uuid-b", "uuid-f")
		r := newRun(allianceMetadata(), multiclusterSettings)
		r.ValuesSet("istio.federation.enabled", true)
		r.given(with(aMulticluster("b", "")), federated).succeeds()
		anchors := r.ValuesGet(multiclustersPath).Array()[0].Get("anchors").Array()
		Expect(anchors).To(HaveLen(1))
		Expect(anchors[0].String()).To(And(ContainSubstring("BEGIN CERTIFICATE"), Not(Equal(root))))
		Expect(r.ValuesGet(federationsPath).Array()[0].Get("anchors").Array()).To(BeEmpty(), "the federation's root is no certificate")
		r.succeeds()
		Expect(r.ValuesGet(multiclustersPath).Array()[0].Get("anchors").Array()).To(Equal(anchors), "an anchor changes only for a reason")
	})

	It("wants no gateway where all networks are flat, and wants one before the peer is known", func() {
		r := newRun(allianceMetadata(), multiclusterSettings).given(aMulticluster("b", "  enableIngressGateway: false")).succeeds()
		Expect(r.ValuesGet(gatewayWantedPath).Bool()).To(BeFalse())
		unknown, _, _ := strings.Cut(aMulticluster("b", ""), "status:")
		r.given(unknown).succeeds()
		Expect(r.ValuesGet(gatewayWantedPath).Bool()).To(BeTrue())
		Expect(r.ValuesGet(multiclustersPath).Raw).To(MatchJSON(`[]`))
	})

	It("accepts no peer when the resource is deleted or multicluster is switched off", func() {
		r := newRun(allianceMetadata(), multiclusterSettings).given(aMulticluster("b", "")).succeeds()
		r.given().succeeds()
		Expect(r.ValuesGet(remotePublicMetadataPath).Raw).To(MatchJSON(`{}`))
		r.given(aMulticluster("b", "")).succeeds()
		r.ValuesSet("istio.multicluster.enabled", false)
		r.succeeds()
		Expect(r.ValuesGet(remotePublicMetadataPath).Raw).To(MatchJSON(`{}`))
		Expect(r.ValuesGet(multiclustersPath).Raw).To(MatchJSON(`[]`))
		Expect(r.ValuesGet(gatewayWantedPath).Bool()).To(BeFalse())
	})

	It("gives an identity to the older resource, whatever its kind", func() {
		older := strings.Replace(aMulticluster("b", ""), "11:00:00", "10:00:00", 1)
		r := newRun(allianceMetadata(), multiclusterSettings)
		r.ValuesSet("istio.federation.enabled", true)
		r.given(older, aFederation("b")).succeeds()
		Expect(r.ValuesGet(remotePublicMetadataPath).Get("uuid-b").Get("kind").String()).To(Equal("IstioMulticluster"))
		Expect(r.ValuesGet(federationsPath).Raw).To(MatchJSON(`[]`))
	})
})
