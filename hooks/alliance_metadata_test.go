package hooks

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	federationsGVR    = schema.GroupVersionResource{Group: "deckhouse.io", Version: "v1alpha1", Resource: "istiofederations"}
	serviceEntriesGVR = schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "serviceentries"}
	eventsGVR         = schema.GroupVersionResource{Version: "v1", Resource: "events"}
	listOptions       = metav1.ListOptions{}
	updateOptions     = metav1.UpdateOptions{}
	deleteOptions     = metav1.DeleteOptions{}
)

var _ = Describe("Hook alliance_metadata", func() {
	It("trusts no peer whose resource is being deleted, whatever finalizer retains it", func() {
		retained := strings.Replace(aFederation("b"), "metadata: {name: b,", `metadata: {name: b, deletionTimestamp: "2030-11-22T11:59:00Z", finalizers: [example.com/slow],`, 1)
		Expect(retained).To(ContainSubstring("finalizers"))
		r := newRun(allianceMetadata(), federationSettings).given(retained, aFederation("c")).succeeds()
		Expect(r.ValuesGet(remotePublicMetadataPath).Raw).To(And(ContainSubstring("uuid-c"), Not(ContainSubstring("uuid-b"))))
		Expect(r.ValuesGet(federationsPath).Raw).NotTo(ContainSubstring("b.local"))
	})

	It("collects which peers' tokens are accepted and which roots are trusted", func() {
		r := newRun(allianceMetadata(), federationSettings).given(aFederation("b", "api.shop"), aFederation("c")).succeeds()
		Expect(r.ValuesGet(remotePublicMetadataPath).Raw).To(MatchJSON(`{
			"uuid-b": {"kind": "IstioFederation", "name": "b", "resourceUID": "uid-b", "clusterUUID": "uuid-b", "trustDomain": "b.local", "authnKeyPub": "key of b", "rootCA": "root of b"},
			"uuid-c": {"kind": "IstioFederation", "name": "c", "resourceUID": "uid-c", "clusterUUID": "uuid-c", "trustDomain": "c.local", "authnKeyPub": "key of c", "rootCA": "root of c"}
		}`))
		Expect(r.ValuesGet(federationsPath).Raw).To(MatchJSON(`[
			{"name": "b", "trustDomain": "b.local", "anchors": []},
			{"name": "c", "trustDomain": "c.local", "anchors": []}
		]`), "what is no certificate is trusted for nothing")
	})

	It("does not accept a peer whose resource is deleted", func() {
		r := newRun(allianceMetadata(), federationSettings).given(aFederation("b"), aFederation("c")).succeeds()
		r.given(aFederation("c")).succeeds()
		Expect(r.ValuesGet(remotePublicMetadataPath).Map()).To(And(HaveKey("uuid-c"), Not(HaveKey("uuid-b"))))
		Expect(r.ValuesGet(federationsPath).Array()).To(HaveLen(1))
	})

	It("distinguishes a resource from its successor of the same name", func() {
		r := newRun(allianceMetadata(), federationSettings).given(aFederation("b")).succeeds()
		r.given(strings.Replace(aFederation("b"), "uid: uid-b", "uid: uid-of-the-successor", 1)).succeeds()
		Expect(r.ValuesGet(remotePublicMetadataPath).Get("uuid-b.resourceUID").String()).To(Equal("uid-of-the-successor"))
	})

	It("accepts no peer when federation is switched off", func() {
		r := newRun(allianceMetadata(), federationSettings).given(aFederation("b")).succeeds()
		r.ValuesSet("istio.federation.enabled", false)
		r.succeeds()
		Expect(r.ValuesGet(remotePublicMetadataPath).Raw).To(MatchJSON(`{}`))
		Expect(r.ValuesGet(federationsPath).Raw).To(MatchJSON(`[]`))
	})

	It("does not trust a peer that claims this cluster's identity", func() {
		r := newRun(allianceMetadata(), federationSettings).given(aFederation("a")).succeeds()
		Expect(r.ValuesGet(remotePublicMetadataPath).Raw).To(MatchJSON(`{}`), "its clusterUUID is uuid-a")
	})
})
