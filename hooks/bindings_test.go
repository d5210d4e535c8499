package hooks

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/flant/shell-operator/pkg/filter/jq"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/lib/versionplan"
)

var _ = Describe("The filters of bindings", func() {
	It("are understood by addon-operator, too", func() {
		resident, _ := Resident(context.Background())
		for _, hook := range slices.Concat(All(), resident) {
			for _, binding := range hook.Config.Kubernetes {
				if binding.JqFilter == "" {
					continue
				}
				_, err := jq.Compile(binding.JqFilter)
				Expect(err).NotTo(HaveOccurred(), "%s: %s", hook.Name, binding.Name)
			}
		}
	})

	DescribeTable("read a Pod's revision from istiod's annotation, whatever its content",
		func(annotations, want string) {
			program, err := jq.Compile(podsBinding().JqFilter)
			Expect(err).NotTo(HaveOccurred())
			var object map[string]any
			Expect(yaml.Unmarshal([]byte(aPod("shop", "web", "", annotations)), &object)).To(Succeed())
			result, err := program.Apply(object)
			Expect(err).NotTo(HaveOccurred())
			var pod versionplan.Pod
			Expect(json.Unmarshal(result, &pod)).To(Succeed())
			Expect(pod.Sidecar.Revision).To(Equal(want))
			Expect(pod.Pod.Revision).To(BeNil())
			Expect(pod.Inject).To(BeNil())
		},
		Entry("no annotation, no sidecar", "", ""),
		Entry("istiod's annotation", `sidecar.istio.io/status: '{"revision":"v1x30"}'`, "v1x30"),
		Entry("an annotation without revision, beside the revision", `sidecar.istio.io/status: '{}', istio.io/rev: v1x30`, "v1x30"),
		Entry("the revision alone is no sidecar", `istio.io/rev: v1x30`, ""),
		Entry("an annotation that is not JSON", `sidecar.istio.io/status: "{"`, "unknown"),
		Entry("an annotation that is a list", `sidecar.istio.io/status: "[]"`, "unknown"),
		Entry("a revision that is a number", `sidecar.istio.io/status: '{"revision":5}'`, "unknown"),
	)
})
