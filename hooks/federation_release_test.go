package hooks

import (
	"context"
	"sync/atomic"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"
	"github.com/flant/shell-operator/pkg/filter/jq"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/lib/discovery"
	"github.com/deckhouse-mesh/istio/lib/peer"
)

var _ = Describe("The upkeep of federation_services", func() {
	const soon = 10 * time.Second
	names := func(r *run) func() []string {
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
	deleteEntry := func(r *run) {
		GinkgoHelper()
		Expect(r.KubeClient().Resource(serviceEntriesGVR).Namespace("d8-istio").Delete(GinkgoT().Context(), "api.shop.b", deleteOptions)).To(Succeed())
	}

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
		Entry("switched off, federation_switch says so", discovery.ReasonDisabled, true),
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
		hook := residentForm(services)
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
		r := newRun(hook, joinedSettings)
		*on = r
		r.given(moduleNamespace, aFederation("b", "api.shop")).succeeds()
		Expect(connected.Load()).To(BeEquivalentTo(1))
		Eventually(names(r), soon).Should(ConsistOf("api.shop.b"))
	})

	It("puts nothing back from before the release is deleted until the module is switched on again", func() {
		services, on := residentOn(context.Background())
		r := newRun(residentForm(services), joinedSettings)
		*on = r
		r.given(moduleNamespace, aFederation("b", "api.shop")).succeeds()
		Eventually(names(r), soon).Should(ConsistOf("api.shop.b"))

		ending := federationServicesEnd(services)
		Expect(ending.Config.OnBeforeDeleteHelm).NotTo(BeNil())
		Expect(ending.Run(GinkgoT().Context(), nil)).To(Succeed())
		deleteEntry(r)
		r.succeeds() // its own queue may have a run yet
		Consistently(names(r), 300*time.Millisecond).Should(BeEmpty())
		Expect(ending.Run(GinkgoT().Context(), nil)).To(Succeed(), "there is nothing to stop any more")

		resuming := federationServicesResume(services)
		Expect(resuming.Config.OnStartup).NotTo(BeNil())
		Expect(resuming.Run(GinkgoT().Context(), nil)).To(Succeed())
		Eventually(names(r.succeeds()), soon).Should(ConsistOf("api.shop.b"))
		deleteEntry(r)
		Eventually(names(r), soon).Should(ConsistOf("api.shop.b"))
	})

	It("writes nothing after the leadership has ended", func() {
		lifetime, lose := context.WithCancel(context.Background())
		defer lose()
		services, on := residentOn(lifetime)
		r := newRun(residentForm(services), joinedSettings)
		*on = r
		r.given(moduleNamespace, aFederation("b", "api.shop")).succeeds()
		Eventually(names(r), soon).Should(ConsistOf("api.shop.b"))

		lose()
		services.wait()
		deleteEntry(r)
		Consistently(names(r), 300*time.Millisecond).Should(BeEmpty())
		r.RunHook()
		Expect(r.HookError()).To(MatchError(ContainSubstring("this process is about to end")))
		Consistently(names(r), 100*time.Millisecond).Should(BeEmpty())
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
