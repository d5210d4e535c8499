package hooks

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/deckhouse-mesh/istio/lib/ca"
)

// secretAsGiven is a Secret of the operator's namespace as a later run finds it.
func secretAsGiven(r *run, name string) string {
	GinkgoHelper()
	encoded, err := json.Marshal(r.KubernetesResource("Secret", "d8-system", name).Object)
	Expect(err).NotTo(HaveOccurred())
	return string(encoded)
}

var _ = Describe("The trust anchors of hook alliance_metadata", func() {
	var resource string
	BeforeEach(func() {
		authority, err := ca.Generate("b.local")
		Expect(err).NotTo(HaveOccurred())
		resource = strings.Replace(aFederation("b"), "rootCA: root of b", "rootCA: "+strconv.Quote(authority.Root), 1)
	})
	anchors := func(r *run) []string {
		GinkgoHelper()
		var federations []trustedPeer
		Expect(json.Unmarshal([]byte(r.ValuesGet(federationsPath).Raw), &federations)).To(Succeed())
		all := []string{}
		for _, federation := range federations {
			all = append(all, federation.Anchors...)
		}
		return all
	}
	stored := func(r *run) *unstructured.Unstructured {
		return r.KubernetesResource("Secret", "d8-system", anchorsSecret)
	}
	keptAsGiven := func(r *run) string {
		return secretAsGiven(r, anchorsSecret) + "\n---\n" + secretAsGiven(r, peerRootsSecret)
	}

	It("are bound to the peer's trust domain", func() {
		r := newRun(allianceMetadata(), federationSettings).given(resource).succeeds()
		Expect(anchors(r)).To(HaveLen(1))
		block, _ := pem.Decode([]byte(anchors(r)[0]))
		anchor, err := x509.ParseCertificate(block.Bytes)
		Expect(err).NotTo(HaveOccurred())
		Expect(anchor.PermittedURIDomains).To(Equal([]string{"b.local"}))
		Expect(anchor.PermittedDNSDomainsCritical).To(BeTrue())
		value, _ := r.metric(anchorsMetric)
		Expect(value).To(BeEquivalentTo(1))
	})

	It("stay the same from run to run, and a run with nothing new writes nothing", func() {
		r := newRun(allianceMetadata(), federationSettings).given(resource).succeeds()
		first := anchors(r)
		Expect(r.PatchedOperations()).To(HaveLen(2), "the anchors, and who named which root")
		Expect(r.succeeds().PatchedOperations()).To(BeEmpty())
		Expect(anchors(r)).To(Equal(first))
	})

	It("stay the same after a restart of the operator", func() {
		before := newRun(allianceMetadata(), federationSettings).given(resource).succeeds()
		after := newRun(allianceMetadata(), federationSettings).given(resource, keptAsGiven(before)).succeeds()
		Expect(after.PatchedOperations()).To(BeEmpty())
		Expect(anchors(after)).To(Equal(anchors(before)))
	})

	It("stay the same while the snapshot does not have the stored ones", func() {
		r := newRun(allianceMetadata(), federationSettings).given(resource).succeeds()
		first := anchors(r)
		r.given(resource).succeeds()
		Expect(anchors(r)).To(Equal(first))
	})

	It("are issued again when two thirds of their life have passed", func() {
		r := newRun(allianceMetadata(), federationSettings).given(resource).succeeds()
		first := anchors(r)
		r.clock.Advance(240 * 24 * time.Hour)
		Expect(anchors(r.succeeds())).To(Equal(first))
		r.clock.Advance(5 * 24 * time.Hour)
		Expect(anchors(r.succeeds())).NotTo(Equal(first))
		Expect(r.PatchedOperations()).To(HaveLen(1))
	})

	It("are not issued for this cluster's own root when a peer publishes it", func() {
		own, err := ca.Generate("a.local")
		Expect(err).NotTo(HaveOccurred())
		named := strings.Replace(aFederation("b"), "rootCA: root of b", "rootCA: "+strconv.Quote(own.Root), 1)
		r := newRun(allianceMetadata(), federationSettings)
		r.ValuesSet(ownRootsPath, own.Root)
		r.given(named).succeeds()
		Expect(anchors(r)).To(Equal([]string{own.Root}))
		Expect(stored(r)).To(Or(BeNil(), HaveField("Object", BeEmpty())))
	})

	It("are removed with the resource", func() {
		r := newRun(allianceMetadata(), federationSettings).given(resource).succeeds()
		r.given(keptAsGiven(r)).succeeds()
		Expect(anchors(r)).To(BeEmpty())
		Expect(stored(r)).To(Or(BeNil(), HaveField("Object", BeEmpty())))
		Expect(r.succeeds().PatchedOperations()).To(BeEmpty())
	})
})
