package hooks

import (
	"context"
	"sync/atomic"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"
	"github.com/flant/shell-operator/pkg/filter/jq"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/lib/discovery"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/peer"
)

// resident is federation_services as it runs in the operator, on the cluster of the run that is made with it.
func resident() (hook hookruntime.Hook, on func(*run) *run) {
	GinkgoHelper()
	services, of := residentOn(context.Background())
	return services.hook(), func(r *run) *run { *of = r; return r }
}

// residentOn serves the cluster of the run that is put into on, until the spec ends.
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

const soon = 10 * time.Second

// entries returns the names of the ServiceEntries that exist.
func entries(r *run) func() []string {
	return func() []string {
		list, err := r.KubeClient().Resource(serviceEntriesGVR).Namespace("d8-istio").List(GinkgoT().Context(), listOptions)
		Expect(err).NotTo(HaveOccurred())
		found := []string{}
		for _, item := range list.Items {
			found = append(found, item.GetName())
		}
		return found
	}
}

func deleteEntry(r *run) {
	GinkgoHelper()
	Expect(r.KubeClient().Resource(serviceEntriesGVR).Namespace("d8-istio").Delete(GinkgoT().Context(), "api.shop.b", deleteOptions)).To(Succeed())
}

var _ = Describe("Hook federation_services in the operator", func() {
	newResident := func(objects ...string) *run {
		GinkgoHelper()
		hook, on := resident()
		return on(newRun(hook, federationSettings)).given(objects...)
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
	It("is woken every minute and not by what it writes", func() {
		hook, _ := resident()
		for _, binding := range hook.Config.Kubernetes {
			Expect(binding.Kind).NotTo(BeElementOf("ServiceEntry", "DestinationRule"))
		}
		Expect(hook.Config.Schedule).To(HaveLen(1))
	})

	It("creates what is wanted and deletes what is not wanted any more", func() {
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

	It("creates deleted objects again between runs", func() {
		r := newResident(moduleNamespace, aFederation("b", "api.shop")).succeeds()
		Eventually(hosts(r), soon).Should(ConsistOf("api.shop.svc.b.local"))
		deleteEntry(r)
		Eventually(hosts(r), soon).Should(ConsistOf("api.shop.svc.b.local"))
	})

	It("reports name conflicts, and how many objects could not be written", func() {
		r := newResident(moduleNamespace, aFederation("b", "api.shop"), `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {namespace: d8-istio, name: api.shop.b}
spec: {hosts: [www.example.com]}
`).succeeds()
		Expect(r.LoggerOutput().String()).To(ContainSubstring("was not made by the module"))
		Expect(hosts(r)()).To(ConsistOf("www.example.com"))
		unwritten, said := r.metric("d8_istio_federation_unwritten_objects")
		Expect(said).To(BeTrue())
		Expect(unwritten).To(BeZero())
	})

	It("waits for the namespace", func() {
		r := newResident(aFederation("b", "api.shop")).succeeds()
		Expect(hosts(r)()).To(BeEmpty())
	})

	DescribeTable("has an event in its own queue when federation is switched, and not for other conditions",
		func(reason string, woken bool) {
			program, err := jq.Compile(switchedFederationsBinding().JqFilter)
			Expect(err).NotTo(HaveOccurred())
			filtered := func(reason string) string {
				var object map[string]any
				Expect(yaml.Unmarshal([]byte(aFederation("b", "api.shop")+
					"  conditions: [{type: Trusted, status: \"True\", reason: Known}, {type: Ready, status: \"True\", reason: "+reason+"}]\n"), &object)).To(Succeed())
				result, err := program.Apply(object)
				Expect(err).NotTo(HaveOccurred())
				return string(result)
			}
			if woken {
				Expect(filtered(reason)).NotTo(MatchJSON(filtered("Synced")))
			} else {
				Expect(filtered(reason)).To(MatchJSON(filtered("Synced")))
			}
		},
		Entry("when federation_switch reports that it is off", discovery.ReasonFederationDisabled, true),
		Entry("a peer that does not answer changes nothing", string(peer.Unreachable), false),
	)

	It("reads resources without a status", func() {
		program, err := jq.Compile(switchedFederationsBinding().JqFilter)
		Expect(err).NotTo(HaveOccurred())
		result, err := program.Apply(map[string]any{"metadata": map[string]any{"name": "b"}})
		Expect(err).NotTo(HaveOccurred())
		Expect(string(result)).To(ContainSubstring(`"switchedOff":false`))
	})

	It("is started once, even by runs of two queues", func() {
		services, on := residentOn(context.Background())
		var connected atomic.Int32
		first, second := make(chan struct{}), make(chan struct{})
		services.connect = func(sdk.DependencyContainer) (dynamic.Interface, error) {
			if connected.Add(1) == 1 {
				close(first)
				<-second
			}
			return (*on).KubeClient(), nil
		}
		hook := services.hook()
		one := hook.Run
		hook.Run = func(ctx context.Context, in *sdk.HookInput) error {
			errs := make(chan error, 2)
			go func() { errs <- one(ctx, in) }()
			<-first
			go func() { errs <- one(ctx, in) }()
			Consistently(connected.Load, 300*time.Millisecond).Should(BeEquivalentTo(1))
			close(second)
			for range 2 {
				if err := <-errs; err != nil {
					return err
				}
			}
			return nil
		}
		r := newRun(hook, federationSettings)
		*on = r
		r.given(moduleNamespace, aFederation("b", "api.shop")).succeeds()
		Expect(connected.Load()).To(BeEquivalentTo(1))
		Eventually(entries(r), soon).Should(ConsistOf("api.shop.b"))
	})

	It("has all its bindings in one queue, so that no older run overtakes a newer one", func() {
		hook, _ := resident()
		Expect(hook.Config).To(HaveField("Queue", federationServicesQueue))
		for _, inMain := range []*sdk.OrderedConfig{
			hook.Config.OnStartup, hook.Config.OnBeforeHelm, hook.Config.OnAfterHelm, hook.Config.OnBeforeDeleteHelm, hook.Config.OnAfterDeleteHelm,
		} {
			Expect(inMain).To(BeNil())
		}
	})

	It("writes nothing after the leadership has ended", func() {
		lifetime, lose := context.WithCancel(context.Background())
		defer lose()
		services, on := residentOn(lifetime)
		r := newRun(services.hook(), federationSettings)
		*on = r
		r.given(moduleNamespace, aFederation("b", "api.shop")).succeeds()
		Eventually(entries(r), soon).Should(ConsistOf("api.shop.b"))

		lose()
		services.wait()
		deleteEntry(r)
		Consistently(entries(r), 300*time.Millisecond).Should(BeEmpty())
		r.RunHook()
		Expect(r.HookError()).To(MatchError(ContainSubstring("this process is about to end")))
		Consistently(entries(r), 100*time.Millisecond).Should(BeEmpty())
	})

	It("is waited for at the end of the leadership", func() {
		lifetime, lose := context.WithCancel(context.Background())
		services, _ := residentOn(lifetime)
		working, waited := make(chan struct{}), make(chan struct{})
		services.running.Go(func() { <-working })
		go func() { defer close(waited); services.wait() }()
		lose()
		Consistently(waited, 200*time.Millisecond).ShouldNot(BeClosed())
		close(working)
		Eventually(waited, soon).Should(BeClosed())
	})
})
