package hooks

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/deckhouse-mesh/istio/lib/names"
)

// besideEmbedded are the values of a module that is switched off because the embedded istio is on.
const besideEmbedded = `
global:
  enabledModules: [cert-manager, istio]
istio:
  internal: {}
`

// onlyWithASecondName skips what cannot happen to a module that has the embedded one's name.
func onlyWithASecondName() {
	GinkgoHelper()
	if names.Module() == names.Embedded {
		Skip("this suite is built for the module " + names.Embedded)
	}
}

var _ = Describe("Hook embedded_istio", func() {
	DescribeTable("has the module start", func(objects string) {
		newRun(embeddedIstio(), besideEmbedded).given(objects).succeeds()
	},
		Entry("in a cluster without a mesh", ""),
		Entry("where it ran before", "apiVersion: v1\nkind: Namespace\nmetadata: {name: d8-istio, labels: {heritage: deckhouse, \"module\": istio-alliance}}\n"),
		Entry("in a namespace that a person made", "apiVersion: v1\nkind: Namespace\nmetadata: {name: d8-istio}\n"),
	)

	It("waits until what the embedded istio had is gone, and changes nothing of it", func() {
		r := newRun(embeddedIstio(), besideEmbedded)
		r.given("apiVersion: v1\nkind: Namespace\nmetadata: {name: d8-istio, labels: {heritage: deckhouse, \"module\": istio}}\n")
		r.RunHook()
		Expect(r.HookError()).To(MatchError(ContainSubstring("namespace d8-istio is still the embedded istio's")))
		Expect(r.KubernetesGlobalResource("Namespace", "d8-istio").GetLabels()).To(HaveKeyWithValue("module", "istio"))
	})

	It("is there under a second name only, before every other hook", func() {
		for _, hook := range All() {
			if hook.Name == "embedded_istio" {
				Expect(names.Module()).NotTo(Equal(names.Embedded))
			} else if hook.Config.OnStartup != nil {
				Expect(hook.Config.OnStartup.Order).To(BeNumerically(">", orderEmbedded), hook.Name)
			}
		}
	})
})

var _ = Describe("Switched off because the embedded istio is on", func() {
	BeforeEach(onlyWithASecondName)

	// As the embedded one's istiod and Helm release leave them.
	const ofEmbedded = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: of-embedded, labels: {heritage: deckhouse, "module": istio}}
webhooks: [{name: a.istio.io, clientConfig: {service: {namespace: d8-istio, name: istiod-v1x21}}}]
`

	It("the module deletes what has its label, and nothing of the embedded one", func() {
		r := newRun(orphanRemoval(0, 0), besideEmbedded).given(orphanObjects, ofEmbedded).succeeds()
		Expect(remaining(r, "MutatingWebhookConfiguration", "of-module", "elsewhere", "of-embedded")).To(Equal([]string{"elsewhere", "of-embedded"}))
		Expect(remaining(r, "ValidatingWebhookConfiguration", "points-here")).To(Equal([]string{"points-here"}))
		Expect(r.KubernetesResource("ConfigMap", "shop", "istio-ca-root-cert")).NotTo(BeNil())
		Expect(remaining(r, "GatewayClass", "istio")).To(Equal([]string{"istio"}))
	})

	It("the module withdraws no webhook of the embedded one", func() {
		r := newRun(webhookWithdrawal(), besideEmbedded).given(orphanObjects, ofEmbedded).succeeds()
		Expect(remaining(r, "MutatingWebhookConfiguration", "of-module", "of-embedded")).To(Equal([]string{"of-embedded"}))
	})

	It("the module says so in the status of peers", func() {
		r := newRun(moduleDisabled(), besideEmbedded).given(aFederation("b", "api.shop")).succeeds()
		conditions, _, err := unstructured.NestedSlice(r.KubernetesGlobalResource("IstioFederation", "b").Object, "status", "conditions")
		Expect(err).NotTo(HaveOccurred())
		Expect(conditions[0]).To(HaveKeyWithValue("message", ContainSubstring("Deckhouse's own module istio is on")))
	})
})
