package hooks

import (
	"context"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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
		r := newRun(federationServices(nil, nil), federationSettings).given(moduleNamespace,
			aFederation("b", "api.shop", "db.shop"), aFederation("c", "api.shop")).succeeds()
		Expect(hosts(r, "api.shop.b", "db.shop.b", "api.shop.c")).To(ConsistOf(
			"api.shop.svc.b.local", "db.shop.svc.b.local", "api.shop.svc.c.local"))
	})

	It("writes nothing when nothing is new", func() {
		r := newRun(federationServices(nil, nil), federationSettings).given(moduleNamespace, aFederation("b", "api.shop")).succeeds()
		Expect(r.PatchedOperations()).NotTo(BeEmpty())
		Expect(r.succeeds().PatchedOperations()).To(BeEmpty())
	})

	It("touches only the peer that changed", func() {
		r := newRun(federationServices(nil, nil), federationSettings).given(moduleNamespace, aFederation("b", "api.shop"), aFederation("c", "api.shop")).succeeds()
		resource := r.KubernetesGlobalResource("IstioFederation", "b")
		Expect(unstructured.SetNestedSlice(resource.Object, []any{}, "status", "metadataCache", "private", "publicServices")).To(Succeed())
		_, err := r.KubeClient().Resource(federationsGVR).Update(GinkgoT().Context(), resource, updateOptions)
		Expect(err).NotTo(HaveOccurred())

		r.succeeds()
		Expect(hosts(r, "api.shop.b", "api.shop.c")).To(ConsistOf("api.shop.svc.c.local"))
		for _, operation := range r.PatchedOperations() {
			Expect(operation.Name).To(Equal("api.shop.b"))
		}
	})

	It("retains the objects of a peer whose offer is unknown", func() {
		r := newRun(federationServices(nil, nil), federationSettings).given(moduleNamespace, aFederation("b", "api.shop"), aFederation("c", "api.shop")).succeeds()
		unreadable := r.KubernetesGlobalResource("IstioFederation", "b")
		Expect(unstructured.SetNestedField(unreadable.Object, "of other lists", "status", "metadataCache", "private", "digest")).To(Succeed())
		_, err := r.KubeClient().Resource(federationsGVR).Update(context.Background(), unreadable, updateOptions)
		Expect(err).NotTo(HaveOccurred())
		Expect(r.succeeds().PatchedOperations()).To(BeEmpty())
		Expect(hosts(r, "api.shop.b", "api.shop.c")).To(ConsistOf("api.shop.svc.b.local", "api.shop.svc.c.local"))
	})

	It("restores edited or deleted objects", func() {
		r := newRun(federationServices(nil, nil), federationSettings).given(moduleNamespace, aFederation("b", "api.shop")).succeeds()
		entry := r.object("ServiceEntry", "api.shop.b")
		Expect(unstructured.SetNestedStringSlice(entry.Object, []string{"evil.example.com"}, "spec", "hosts")).To(Succeed())
		_, err := r.KubeClient().Resource(serviceEntriesGVR).Namespace("d8-istio").Update(GinkgoT().Context(), entry, updateOptions)
		Expect(err).NotTo(HaveOccurred())
		Expect(hosts(r.succeeds(), "api.shop.b")).To(ConsistOf("api.shop.svc.b.local"))

		Expect(r.KubeClient().Resource(serviceEntriesGVR).Namespace("d8-istio").Delete(GinkgoT().Context(), "api.shop.b", deleteOptions)).To(Succeed())
		Expect(hosts(r.succeeds(), "api.shop.b")).To(ConsistOf("api.shop.svc.b.local"))
	})

	It("deletes everything it made, and nothing else, when federation is switched off", func() {
		r := newRun(federationServices(nil, nil), federationSettings).given(moduleNamespace, aFederation("b", "api.shop"), `
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
		r := newRun(federationServices(nil, nil), federationSettings).given(moduleNamespace, aFederation("b", "api.shop"), `
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
		r := newRun(federationServices(nil, nil), federationSettings).given(moduleNamespace, mirror, twin, aFederation("b", "api.shop")).succeeds()
		Expect(hosts(r, "api.shop.cluster-a", "api.shop.twin", "api.shop.b")).To(ConsistOf("api.shop.svc.b.local"))
	})

	It("waits for the namespace", func() {
		r := newRun(federationServices(nil, nil), federationSettings).given(aFederation("b", "api.shop")).succeeds()
		Expect(r.PatchedOperations()).To(BeEmpty())
		r.given(strings.Replace(moduleNamespace, "name: d8-istio", `name: d8-istio, deletionTimestamp: "2030-11-22T11:00:00Z", finalizers: [x]`, 1),
			aFederation("b", "api.shop")).succeeds()
		Expect(r.PatchedOperations()).To(BeEmpty())
	})
})
