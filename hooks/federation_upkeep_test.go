package hooks

import (
	"context"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

// resident is federation_services as it runs in the operator, on the cluster of the run that is made with it.
func resident() (hook hookruntime.Hook, on func(*run) *run) {
	GinkgoHelper()
	services, of := residentOn(context.Background())
	return residentForm(services), func(r *run) *run { *of = r; return r }
}

// residentOn serves the cluster of the run that is put into on, until the spec is over.
func residentOn(ctx context.Context) (services *residentServices, on **run) {
	GinkgoHelper()
	ctx, cancel := context.WithCancel(ctx)
	on = new(*run)
	services = &residentServices{lifetime: ctx, connect: func(sdk.DependencyContainer) (dynamic.Interface, error) {
		return (*on).KubeClient(), nil
	}}
	DeferCleanup(func() { cancel(); services.wait() })
	return services, on
}

// residentForm is the hook as addon-operator runs it.
func residentForm(services *residentServices) hookruntime.Hook {
	whole := federationServices(services, nil)
	return hookruntime.Hook{Name: whole.Name, Config: whole.Resident.Config, Run: whole.Resident.Run}
}

var _ = Describe("Hook federation_services in the operator", func() {
	newResident := func(objects ...string) *run {
		GinkgoHelper()
		hook, on := resident()
		return on(newRun(hook, joinedSettings)).given(objects...)
	}
	// hosts of the ServiceEntries that are there.
	hosts := func(r *run) func() []string {
		return func() []string {
			list, err := r.KubeClient().Resource(serviceEntriesGVR).Namespace("d8-istio").List(GinkgoT().Context(), listOptions)
			Expect(err).NotTo(HaveOccurred())
			found := []string{}
			for _, item := range list.Items {
				names, _, _ := unstructured.NestedStringSlice(item.Object, "spec", "hosts")
				found = append(found, names...)
			}
			return found
		}
	}
	const soon = 10 * time.Second

	It("is not woken by what it writes, but every minute", func() {
		hook, _ := resident()
		for _, binding := range hook.Config.Kubernetes {
			Expect(binding.Kind).NotTo(BeElementOf("ServiceEntry", "DestinationRule"))
		}
		Expect(hook.Config.Schedule).To(HaveLen(1))
	})

	It("makes what is wanted and removes what is not wanted any more", func() {
		r := newResident(moduleNamespace, aFederation("b", "api.shop", "db.shop"), aFederation("c", "api.shop")).succeeds()
		Eventually(hosts(r), soon).Should(ConsistOf("api.shop.svc.b.local", "db.shop.svc.b.local", "api.shop.svc.c.local"))

		resource := r.KubernetesGlobalResource("IstioFederation", "b")
		Expect(unstructured.SetNestedSlice(resource.Object, []any{}, "status", "metadataCache", "private", "publicServices")).To(Succeed())
		_, err := r.KubeClient().Resource(federationsGVR).Update(GinkgoT().Context(), resource, updateOptions)
		Expect(err).NotTo(HaveOccurred())
		Eventually(hosts(r.succeeds()), soon).Should(ConsistOf("api.shop.svc.c.local"))

		r.ValuesSet("istio.federation.enabled", false)
		Eventually(hosts(r.succeeds()), soon).Should(BeEmpty())
	})

	It("puts back what somebody deleted, between runs", func() {
		r := newResident(moduleNamespace, aFederation("b", "api.shop")).succeeds()
		Eventually(hosts(r), soon).Should(ConsistOf("api.shop.svc.b.local"))
		Expect(r.KubeClient().Resource(serviceEntriesGVR).Namespace("d8-istio").Delete(GinkgoT().Context(), "api.shop.b", deleteOptions)).To(Succeed())
		Eventually(hosts(r), soon).Should(ConsistOf("api.shop.svc.b.local"))
	})

	It("says which names belong to somebody else, and how many objects could not be written", func() {
		r := newResident(moduleNamespace, aFederation("b", "api.shop"), `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {namespace: d8-istio, name: api.shop.b}
spec: {hosts: [www.example.com]}
`).succeeds()
		Expect(r.LoggerOutput().String()).To(ContainSubstring("belongs to somebody else"))
		Expect(hosts(r)()).To(ConsistOf("www.example.com"))
		unwritten, said := r.metric("d8_istio_federation_unwritten_objects")
		Expect(said).To(BeTrue())
		Expect(unwritten).To(BeZero())
	})

	It("waits for the namespace", func() {
		r := newResident(aFederation("b", "api.shop")).succeeds()
		Expect(hosts(r)()).To(BeEmpty())
	})
})

var _ = Describe("Decoded snapshots", func() {
	It("are decoded anew only where they have changed", func() {
		var remembered decodings[map[string]any]
		hook := hookruntime.Hook{Name: "reader", Config: federationServices(nil, nil).Config, Run: func(_ context.Context, in *sdk.HookInput) error {
			_, err := remembered.snapshot(in, "federations")
			return err
		}}
		r := newRun(hook, joinedSettings).given(aFederation("b", "api.shop"), aFederation("c")).succeeds()
		Expect(remembered.known).To(HaveLen(2))
		for _, object := range remembered.known {
			object["seen"] = true
		}
		resource := r.KubernetesGlobalResource("IstioFederation", "b")
		Expect(unstructured.SetNestedField(resource.Object, "other.local", "spec", "trustDomain")).To(Succeed())
		_, err := r.KubeClient().Resource(federationsGVR).Update(GinkgoT().Context(), resource, updateOptions)
		Expect(err).NotTo(HaveOccurred())
		r.succeeds()
		Expect(remembered.known).To(HaveLen(2), "what is gone is forgotten")
		anew := 0
		for _, object := range remembered.known {
			if object["seen"] == nil {
				anew++
			}
		}
		Expect(anew).To(Equal(1))
	})
})
