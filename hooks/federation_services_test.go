package hooks

import (
	"context"
	"errors"
	"fmt"
	"strings"

	sdk "github.com/deckhouse/module-sdk/pkg"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
)

const moduleNamespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: d8-istio}\n"

// aFederation is an IstioFederation whose peer was fetched and publishes the services "<name>.<namespace>".
func aFederation(name string, services ...string) string {
	var published strings.Builder
	for _, service := range services {
		fmt.Fprintf(&published, `{hostname: %s.svc.%s.local, ports: [{name: http, port: 80, protocol: HTTP}]},`, service, name)
	}
	return fmt.Sprintf(`
apiVersion: deckhouse.io/v1alpha1
kind: IstioFederation
metadata: {name: %[1]s, uid: uid-%[1]s, generation: 1, creationTimestamp: "2030-11-22T11:00:00Z"}
spec: {trustDomain: %[1]s.local, metadataEndpoint: "https://%[1]s.example.com/metadata/"}
status:
  observedGeneration: 1
  metadataCache:
    trustDomain: %[1]s.local
    public: {clusterUUID: uuid-%[1]s, authnKeyPub: key of %[1]s, rootCA: root of %[1]s}
    private:
      ingressGateways: [{address: 192.0.2.1, port: 15443}]
      publicServices: [%[2]s]
`, name, published.String())
}

// newServicesRun is federation_services in a process of a single run.
func newServicesRun() *run {
	GinkgoHelper()
	var of *run
	of = newRun(federationServices(func(sdk.DependencyContainer) (dynamic.Interface, error) { return of.KubeClient(), nil }), federationSettings)
	return of
}

// serviceWrites are what the last run did to objects for peers' services.
func (r *run) serviceWrites() []string {
	var done []string
	for _, action := range r.KubeClient().(*dynamicfake.FakeDynamicClient).Actions() {
		resource := action.GetResource().Resource
		if resource != "serviceentries" && resource != "destinationrules" {
			continue
		}
		switch action := action.(type) {
		case clienttesting.CreateAction:
			done = append(done, "create "+resource+" "+action.GetObject().(*unstructured.Unstructured).GetName())
		case clienttesting.PatchAction:
			done = append(done, "patch "+resource+" "+action.GetName())
		case clienttesting.DeleteAction:
			done = append(done, "delete "+resource+" "+action.GetName())
		}
	}
	return done
}

// rejecting has the API server reject the ServiceEntry of that name with the error.
func (r *run) rejecting(name string, err error) {
	r.KubeClient().(*dynamicfake.FakeDynamicClient).PrependReactor("create", "serviceentries", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if action.(clienttesting.CreateAction).GetObject().(*unstructured.Unstructured).GetName() == name {
			return true, nil, err
		}
		return false, nil, nil
	})
}

var _ = Describe("Hook federation_services", func() {
	hosts := func(r *run, names ...string) []string {
		found := []string{}
		for _, name := range names {
			if entry := r.object("ServiceEntry", name); entry != nil {
				list, _, err := unstructured.NestedStringSlice(entry.Object, "spec", "hosts")
				Expect(err).NotTo(HaveOccurred())
				found = append(found, list...)
				Expect(r.object("DestinationRule", name)).NotTo(BeNil())
			}
		}
		return found
	}

	It("makes a ServiceEntry and a DestinationRule for every service of every peer", func() {
		r := newServicesRun().given(moduleNamespace,
			aFederation("b", "api.shop", "db.shop"), aFederation("c", "api.shop")).succeeds()
		Expect(hosts(r, "api.shop.b", "db.shop.b", "api.shop.c")).To(ConsistOf(
			"api.shop.svc.b.local", "db.shop.svc.b.local", "api.shop.svc.c.local"))
	})

	It("writes nothing when nothing is new", func() {
		r := newServicesRun().given(moduleNamespace, aFederation("b", "api.shop")).succeeds()
		Expect(r.serviceWrites()).NotTo(BeEmpty())
		Expect(r.succeeds().serviceWrites()).To(BeEmpty())
	})

	It("touches only the peer that changed", func() {
		r := newServicesRun().given(moduleNamespace, aFederation("b", "api.shop"), aFederation("c", "api.shop")).succeeds()
		resource := r.KubernetesGlobalResource("IstioFederation", "b")
		Expect(unstructured.SetNestedSlice(resource.Object, []any{}, "status", "metadataCache", "private", "publicServices")).To(Succeed())
		_, err := r.KubeClient().Resource(federationsGVR).Update(GinkgoT().Context(), resource, updateOptions)
		Expect(err).NotTo(HaveOccurred())

		r.succeeds()
		Expect(hosts(r, "api.shop.b", "api.shop.c")).To(ConsistOf("api.shop.svc.c.local"))
		Expect(r.serviceWrites()).To(ConsistOf("delete serviceentries api.shop.b", "delete destinationrules api.shop.b"))
	})

	It("retains the objects of a peer whose offer is unknown", func() {
		r := newServicesRun().given(moduleNamespace, aFederation("b", "api.shop"), aFederation("c", "api.shop")).succeeds()
		unreadable := r.KubernetesGlobalResource("IstioFederation", "b")
		Expect(unstructured.SetNestedField(unreadable.Object, "of other lists", "status", "metadataCache", "private", "digest")).To(Succeed())
		_, err := r.KubeClient().Resource(federationsGVR).Update(context.Background(), unreadable, updateOptions)
		Expect(err).NotTo(HaveOccurred())
		Expect(r.succeeds().serviceWrites()).To(BeEmpty())
		Expect(hosts(r, "api.shop.b", "api.shop.c")).To(ConsistOf("api.shop.svc.b.local", "api.shop.svc.c.local"))
	})

	It("restores edited or deleted objects", func() {
		r := newServicesRun().given(moduleNamespace, aFederation("b", "api.shop")).succeeds()
		entry := r.object("ServiceEntry", "api.shop.b")
		Expect(unstructured.SetNestedStringSlice(entry.Object, []string{"evil.example.com"}, "spec", "hosts")).To(Succeed())
		_, err := r.KubeClient().Resource(serviceEntriesGVR).Namespace("d8-istio").Update(GinkgoT().Context(), entry, updateOptions)
		Expect(err).NotTo(HaveOccurred())
		Expect(hosts(r.succeeds(), "api.shop.b")).To(ConsistOf("api.shop.svc.b.local"))

		Expect(r.KubeClient().Resource(serviceEntriesGVR).Namespace("d8-istio").Delete(GinkgoT().Context(), "api.shop.b", deleteOptions)).To(Succeed())
		Expect(hosts(r.succeeds(), "api.shop.b")).To(ConsistOf("api.shop.svc.b.local"))
	})

	It("deletes everything it made, and nothing else, when federation is switched off", func() {
		r := newServicesRun().given(moduleNamespace, aFederation("b", "api.shop"), `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {namespace: d8-istio, name: of-a-person}
spec: {hosts: [www.example.com]}
`).succeeds()
		Expect(hosts(r, "api.shop.b")).To(HaveLen(1))
		r.ValuesSet("istio.federation.enabled", false)
		r.succeeds()
		Expect(hosts(r, "api.shop.b")).To(BeEmpty())
		Expect(r.object("ServiceEntry", "of-a-person")).NotTo(BeNil())
	})

	It("does not overwrite an object of another owner, and reports it", func() {
		r := newServicesRun().given(moduleNamespace, aFederation("b", "api.shop"), `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {namespace: d8-istio, name: api.shop.b}
spec: {hosts: [www.example.com]}
`).succeeds()
		Expect(hosts(r, "api.shop.b")).To(ConsistOf("www.example.com"))
		Expect(r.LoggerOutput().String()).To(ContainSubstring("was not made by the module"))
		events, err := r.KubeClient().Resource(eventsGVR).Namespace("default").List(GinkgoT().Context(), listOptions)
		Expect(err).NotTo(HaveOccurred())
		Expect(events.Items).To(HaveLen(1))
		Expect(events.Items[0].Object).To(HaveKeyWithValue("involvedObject", HaveKeyWithValue("uid", "uid-b")))
		Expect(r.succeeds().events("NameTaken")).To(BeEmpty(), "it is not said again in every run")
		Expect(events.Items[0].Object).To(And(HaveKeyWithValue("reason", "NameTaken"),
			HaveKeyWithValue("involvedObject", HaveKeyWithValue("name", "b"))))
	})

	It("ignores a peer with this cluster's own domain and the younger of two for one domain", func() {
		mirror := strings.ReplaceAll(aFederation("cluster-a", "api.shop"), "uuid-cluster-a", "uuid-x")
		twin := strings.ReplaceAll(aFederation("b", "api.shop"), "name: b,", "name: twin, ")
		twin = strings.Replace(twin, "T11:00:00Z", "T11:30:00Z", 1)
		r := newServicesRun().given(moduleNamespace, mirror, twin, aFederation("b", "api.shop")).succeeds()
		Expect(hosts(r, "api.shop.cluster-a", "api.shop.twin", "api.shop.b")).To(ConsistOf("api.shop.svc.b.local"))
	})

	It("writes all other objects when one is rejected, counts that one, and does not fail", func() {
		r := newServicesRun().given(moduleNamespace, aFederation("b", "api.shop", "db.shop"))
		r.rejecting("api.shop.b", apierrors.NewForbidden(serviceEntriesGVR.GroupResource(), "api.shop.b", errors.New("a policy of this cluster")))
		r.succeeds()
		Expect(r.object("ServiceEntry", "api.shop.b")).To(BeNil())
		Expect(hosts(r, "db.shop.b")).To(ConsistOf("db.shop.svc.b.local"))
		unwritten, _ := r.metric(unwrittenMetric)
		Expect(unwritten).To(BeEquivalentTo(1))
		Expect(r.LoggerOutput().String()).To(And(ContainSubstring("api.shop.b"), ContainSubstring("a policy of this cluster")))
	})

	It("is tried again by the runtime when the API server has no time", func() {
		r := newServicesRun().given(moduleNamespace, aFederation("b", "api.shop", "db.shop"))
		r.rejecting("api.shop.b", apierrors.NewTooManyRequests("later", 1))
		r.RunHook()
		Expect(r.HookError()).To(MatchError(ContainSubstring("1 of them are not written")))
		Expect(hosts(r, "db.shop.b")).To(ConsistOf("db.shop.svc.b.local"))
	})

	It("waits for the namespace", func() {
		r := newServicesRun().given(aFederation("b", "api.shop")).succeeds()
		Expect(r.serviceWrites()).To(BeEmpty())
		r.given(strings.Replace(moduleNamespace, "name: d8-istio", `name: d8-istio, deletionTimestamp: "2030-11-22T11:00:00Z", finalizers: [x]`, 1),
			aFederation("b", "api.shop")).succeeds()
		Expect(r.serviceWrites()).To(BeEmpty())
	})
})
