package hooks

import (
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/deckhouse-mesh/istio/lib/ca"
)

var _ = Describe("The shared roots of hook alliance_metadata", func() {
	var common, alone string
	BeforeEach(func() {
		for _, root := range []*string{&common, &alone} {
			authority, err := ca.Generate("cluster-a.local")
			Expect(err).NotTo(HaveOccurred())
			*root = authority.Root
		}
	})
	with := func(name, root string) string {
		return strings.Replace(aMulticluster(name, ""), "rootCA: root of "+name, "rootCA: "+strconv.Quote(root), 1)
	}
	sharedOf := func(r *run, name string) int {
		return len(r.ValuesGet(remotePublicMetadataPath).Get("uuid-" + name + ".sharedRoots").Array())
	}

	It("are those that two resources name, also after one of them is deleted and the operator restarted", func() {
		r := newRun(allianceMetadata(), multiclusterSettings).given(with("b", common), with("c", common), with("d", alone)).succeeds()
		Expect([]int{sharedOf(r, "b"), sharedOf(r, "c"), sharedOf(r, "d")}).To(Equal([]int{1, 1, 0}))
		Expect(r.ValuesGet(remotePublicMetadataPath).Get("uuid-d").Map()).NotTo(HaveKey("sharedRoots"), "older programs see no difference")
		memory := secretAsGiven(r, peerRootsSecret)
		r.given(with("b", common), memory).succeeds()
		Expect(sharedOf(r, "b")).To(Equal(1))

		restarted := newRun(allianceMetadata(), multiclusterSettings).given(with("b", common), with("d", alone), memory).succeeds()
		Expect([]int{sharedOf(restarted, "b"), sharedOf(restarted, "d")}).To(Equal([]int{1, 0}))
	})

	It("are those of a peer that came after another one with that root was deleted", func() {
		first := newRun(allianceMetadata(), multiclusterSettings).given(with("b", common)).succeeds()
		Expect(sharedOf(first, "b")).To(BeZero())
		memory := secretAsGiven(first, peerRootsSecret)
		later := newRun(allianceMetadata(), multiclusterSettings).given(with("c", common), memory).succeeds()
		Expect(sharedOf(later, "c")).To(Equal(1))

		same := newRun(allianceMetadata(), multiclusterSettings).
			given(strings.Replace(with("b", common), "uid: uid-b", "uid: uid-of-the-successor", 1), memory).succeeds()
		Expect(sharedOf(same, "b")).To(BeZero(), "the same peer's resource, created anew")
		another := newRun(allianceMetadata(), multiclusterSettings).
			given(strings.Replace(with("b", common), "uuid-b", "uuid-x", 1), memory).succeeds()
		Expect(sharedOf(another, "x")).To(Equal(1), "a resource of that name for another cluster")
	})

	It("are remembered while the snapshot does not have the memory yet", func() {
		r := newRun(allianceMetadata(), multiclusterSettings).given(with("b", common)).succeeds()
		r.given(with("c", common)).succeeds()
		Expect(sharedOf(r, "c")).To(Equal(1))
	})

	It("are this cluster's own, which it has or had", func() {
		r := newRun(allianceMetadata(), multiclusterSettings)
		r.ValuesSet(ownRootsPath, common)
		r.given(with("b", common), with("d", alone)).succeeds()
		Expect([]int{sharedOf(r, "b"), sharedOf(r, "d")}).To(Equal([]int{1, 0}))
		memory := secretAsGiven(r, peerRootsSecret)

		renewed, err := ca.Generate("cluster-a.local")
		Expect(err).NotTo(HaveOccurred())
		after := newRun(allianceMetadata(), multiclusterSettings)
		after.ValuesSet(ownRootsPath, renewed.Root)
		after.given(with("e", common), memory).succeeds()
		Expect(sharedOf(after, "e")).To(Equal(1))
	})

	It("are those that a resource of the other kind names, accepted or not", func() {
		federated := strings.Replace(aFederation("c"), "rootCA: root of c", "rootCA: "+strconv.Quote(common), 1)
		r := newRun(allianceMetadata(), multiclusterSettings).given(with("b", common), federated).succeeds()
		Expect(sharedOf(r, "b")).To(Equal(1), "federation is switched off")
	})

	It("start anew where the memory cannot be read, and stay when the module has no peers any more", func() {
		r := newRun(allianceMetadata(), multiclusterSettings).
			given(with("b", alone), aSecret("d8-system", peerRootsSecret, map[string]string{peerRootsSecretKey: "rubbish"})).succeeds()
		Expect(sharedOf(r, "b")).To(BeZero())
		memory := secretAsGiven(r, peerRootsSecret)
		r.given(memory).succeeds()
		Expect(secretAsGiven(r, peerRootsSecret)).To(Equal(memory))
		Expect(r.PatchedOperations()).To(BeEmpty())
	})
})
