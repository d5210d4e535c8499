package hooks

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

var _ = Describe("Hook module_disabled", func() {
	It("reports in every resource that the module is off, and changes nothing else", func() {
		r := newRun(moduleDisabled(), federationSettings).given(aFederation("b", "api.shop"))
		before := r.KubernetesGlobalResource("IstioFederation", "b")
		r.succeeds()
		after := r.KubernetesGlobalResource("IstioFederation", "b")
		conditions, _, err := unstructured.NestedSlice(after.Object, "status", "conditions")
		Expect(err).NotTo(HaveOccurred())
		Expect(conditions).To(HaveLen(1))
		Expect(conditions[0]).To(And(HaveKeyWithValue("type", "Ready"), HaveKeyWithValue("reason", "ModuleDisabled")))
		Expect(after.Object["spec"]).To(Equal(before.Object["spec"]))
	})
})
