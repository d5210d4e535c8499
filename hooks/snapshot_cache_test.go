package hooks

import (
	"context"

	sdk "github.com/deckhouse/module-sdk/pkg"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

var _ = Describe("Decoded snapshots", func() {
	It("are decoded again only where they have changed", func() {
		var cache snapshotCache[map[string]any]
		hook := hookruntime.Hook{Name: "reader", Config: federationServices(nil).Config, Run: func(_ context.Context, in *sdk.HookInput) error {
			_, err := cache.snapshot(in, "federations")
			return err
		}}
		r := newRun(hook, federationSettings).given(aFederation("b", "api.shop"), aFederation("c")).succeeds()
		Expect(cache.decoded).To(HaveLen(2))
		for _, object := range cache.decoded {
			object["seen"] = true
		}
		resource := r.KubernetesGlobalResource("IstioFederation", "b")
		Expect(unstructured.SetNestedField(resource.Object, "other.local", "spec", "trustDomain")).To(Succeed())
		_, err := r.KubeClient().Resource(federationsGVR).Update(GinkgoT().Context(), resource, updateOptions)
		Expect(err).NotTo(HaveOccurred())
		r.succeeds()
		Expect(cache.decoded).To(HaveLen(2), "deleted objects are forgotten")
		again := 0
		for _, object := range cache.decoded {
			if object["seen"] == nil {
				again++
			}
		}
		Expect(again).To(Equal(1))
	})
})
