package hooks

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/deckhouse-mesh/istio/lib/ca"
	"github.com/deckhouse-mesh/istio/lib/names"
)

var _ = Describe("The trust that hook alliance_metadata withdraws", func() {
	withRoot := func(name string) string {
		authority, err := ca.Generate(name + ".local")
		Expect(err).NotTo(HaveOccurred())
		return strings.Replace(aFederation(name), "rootCA: root of "+name, "rootCA: "+strconv.Quote(authority.Root), 1)
	}
	var b, c string
	BeforeEach(func() { b, c = withRoot("b"), withRoot("c") })

	// trusting is a run that has accepted these peers, and what Helm renders of its values.
	trusting := func(peers ...string) (*run, map[string]map[string]any) {
		GinkgoHelper()
		r := newRun(allianceMetadata(), federationSettings).given(strings.Join(peers, "\n---\n"), aMeshConfiguration("v1x31", ""), aMeshConfiguration("v1x30", "")).succeeds()
		var federations []trustedPeer
		Expect(json.Unmarshal([]byte(r.ValuesGet(federationsPath).Raw), &federations)).To(Succeed())
		entries := map[string]map[string]any{}
		for _, federation := range federations {
			Expect(federation.Anchors).To(HaveLen(1))
			entries[federation.Name] = map[string]any{"pem": federation.Anchors[0], "trustDomains": []string{federation.TrustDomain}}
		}
		return r, entries
	}
	kept := func(r *run) string {
		return secretAsGiven(r, anchorsSecret) + "\n---\n" + secretAsGiven(r, peerRootsSecret)
	}

	It("leaves every revision's mesh configuration at once, as Helm will render it, and the others' stays", func() {
		r, of := trusting(b, c)
		r.given(c, kept(r), aMeshConfiguration("v1x31", "", of["b"], of["c"]), aMeshConfiguration("v1x30", "", of["b"])).succeeds()
		written := r.meshPatches()
		Expect(written).To(HaveLen(2))
		Expect(written["istio-v1x31"].Data).To(Equal(map[string]string{"mesh": meshIn(aMeshConfiguration("v1x31", "", of["c"]))}))
		Expect(written["istio-v1x30"].Data).To(Equal(map[string]string{"mesh": meshIn(aMeshConfiguration("v1x30", ""))}), "what Helm adds is not added here")
		Expect(written["istio-v1x31"].Metadata.ResourceVersion).To(Equal("7"), "what Helm has written meanwhile must not be lost")
		Expect(written["istio-v1x31"].Metadata.Annotations).To(Equal(map[string]string{withdrawnAnnotation: r.ValuesGet(trustWithdrawnPath).String()}))
		Expect(r.ValuesGet(trustWithdrawnPath).String()).To(Equal("2030-11-22T12:00:10.000Z"), "Helm has to run")
		Expect(r.ValuesGet(federationsPath).Array()).To(HaveLen(1))
	})

	It("is nobody's while all peers stay", func() {
		r, of := trusting(b, c)
		r.given(b, c, kept(r), aMeshConfiguration("v1x31", "", of["b"], of["c"])).succeeds()
		Expect(r.meshPatches()).To(BeEmpty())
		Expect(r.ValuesGet(trustWithdrawnPath).String()).To(BeEmpty())
	})

	It("is not that of a peer whose anchor is renewed, before Helm has written the new one", func() {
		r, of := trusting(b)
		r.clock.Advance(245 * 24 * time.Hour)
		r.given(b, kept(r), aMeshConfiguration("v1x31", "", of["b"])).succeeds()
		Expect(r.ValuesGet(federationsPath).Array()[0].Get("anchors").Array()[0].String()).NotTo(Equal(of["b"]["pem"]))
		Expect(r.meshPatches()).To(BeEmpty())
	})

	It("is withdrawn again, with another time, when a Helm run that had begun before writes it back", func() {
		r, of := trusting(b)
		r.given(aMeshConfiguration("v1x31", "", of["b"])).succeeds()
		r.clock.Advance(3 * time.Second)
		r.given(aMeshConfiguration("v1x31", "", of["b"])).succeeds()
		Expect(r.meshPatches()).To(HaveLen(1))
		Expect(r.ValuesGet(trustWithdrawnPath).String()).To(Equal("2030-11-22T12:00:13.000Z"))
	})

	It("is that of all federated peers when federation is switched off", func() {
		r, of := trusting(b)
		r.ValuesSet("istio.federation.enabled", false)
		r.given(b, kept(r), aMeshConfiguration("v1x31", "", of["b"])).succeeds()
		Expect(r.meshPatches()["istio-v1x31"].Data["mesh"]).To(Equal(meshIn(aMeshConfiguration("v1x31", ""))))
	})

	It("is remembered by the ConfigMap, when the operator ended before Helm ran", func() {
		r := newRun(allianceMetadata(), federationSettings)
		r.given(aMeshConfiguration("v1x31", withdrawnAnnotation+`: "2030-11-22T12:00:07.000Z"`), aMeshConfiguration("v1x30", withdrawnAnnotation+`: "2030-11-22T12:00:05.000Z"`)).succeeds()
		Expect(r.ValuesGet(trustWithdrawnPath).String()).To(Equal("2030-11-22T12:00:07.000Z"))
		r.given(aMeshConfiguration("v1x31", withdrawnAnnotation+`: "2031-01-01T00:00:00.000Z"`), aMeshConfiguration("v1x30", withdrawnAnnotation+`: never`)).succeeds()
		Expect(r.ValuesGet(trustWithdrawnPath).String()).To(Equal("2030-11-22T12:00:07.000Z"), "what this hook cannot have written does not count")
	})

	DescribeTable("is left to Helm where it cannot be withdrawn at once", func(failure error, logged string) {
		r, of := trusting(b)
		r.hooksClient().PrependReactor("patch", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, failure })
		r.given(aMeshConfiguration("v1x31", "", of["b"])).succeeds()
		Expect(r.meshPatches()).To(HaveLen(1))
		Expect(r.ValuesGet(trustWithdrawnPath).String()).To(BeEmpty())
		Expect(r.ValuesGet(federationsPath).Array()).To(BeEmpty(), "Helm trusts nobody any more")
		Expect(r.LoggerOutput().String()).To(ContainSubstring(logged))
	},
		Entry("since Helm has just written there", apierrors.NewConflict(configMapResource.GroupResource(), "istio-v1x31", nil), ""),
		Entry("since it has just been deleted", apierrors.NewNotFound(configMapResource.GroupResource(), "istio-v1x31"), ""),
		Entry("since the API server rejects it", apierrors.NewForbidden(configMapResource.GroupResource(), "istio-v1x31", nil), "Helm will do it"),
	)

	It("is left to Helm where the configuration cannot be read", func() {
		r, _ := trusting(b)
		r.given(strings.Replace(aMeshConfiguration("v1x31", ""), `data: {mesh: "`, `data: {mesh: "caCertificates: [`, 1)).succeeds()
		Expect(r.meshPatches()).To(BeEmpty())
		Expect(r.LoggerOutput().String()).To(ContainSubstring("Helm will do it"))
	})

	It("is not looked for in what is not the module's", func() {
		r, of := trusting(b)
		r.given(strings.Replace(aMeshConfiguration("v1x31", "", of["b"]), "module: istio", "module: another", 1)).succeeds()
		Expect(r.meshPatches()).To(BeEmpty())
	})

	It("is written under a name that drift repair knows", func() {
		r, of := trusting(b)
		r.given(aMeshConfiguration("v1x31", "", of["b"])).succeeds()
		for _, action := range r.hooksClient().Actions() {
			if patch, ok := action.(clienttesting.PatchActionImpl); ok && action.GetResource() == configMapResource {
				Expect(patch.PatchOptions.FieldManager).To(Equal(names.TrustWithdrawalFieldManager))
			}
		}
	})
})
