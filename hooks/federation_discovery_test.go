package hooks

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/nudge"
	"github.com/deckhouse-mesh/istio/lib/peer"
)

var _ = Describe("Hook federation_discovery", func() {
	ready := func(r *run) map[string]any {
		GinkgoHelper()
		resource := r.KubernetesGlobalResource("IstioFederation", "cluster-b")
		conditions, _, err := unstructured.NestedSlice(resource.Object, "status", "conditions")
		Expect(err).NotTo(HaveOccurred())
		for _, each := range conditions {
			if condition := each.(map[string]any); condition["type"] == "Ready" {
				return condition
			}
		}
		return nil
	}
	polled := func() (*aPeer, *run) {
		GinkgoHelper()
		exporter := startPeer()
		r := newRun(federationDiscovery(peer.NewClient(), nil), federationSettings).given(exporter.resource(""), ownKeypair(), versionsConfigMap("federation", nil)).succeeds()
		Expect(ready(r)).To(HaveKeyWithValue("status", "True"))
		return exporter, r
	}
	refresh := func(r *run, value string) {
		GinkgoHelper()
		resource := r.KubernetesGlobalResource("IstioFederation", "cluster-b")
		resource.SetAnnotations(map[string]string{"istio.deckhouse.io/refresh": value})
		_, err := r.KubeClient().Resource(federationsGVR).Update(context.Background(), resource, updateOptions)
		Expect(err).NotTo(HaveOccurred())
	}

	It("fetches, judges, and writes status and metrics", func() {
		_, r := polled()
		status := r.KubernetesGlobalResource("IstioFederation", "cluster-b").Object["status"]
		encoded, err := json.Marshal(status)
		Expect(err).NotTo(HaveOccurred())
		Expect(encoded).To(ContainSubstring(`"api.shop.svc.cluster-b.local"`))
		Expect(encoded).To(ContainSubstring(`"importedServices":1`))
		Expect(encoded).To(ContainSubstring(`"clusterUUID":"uuid-b"`))
		value, _ := r.metric(peerReadyMetric)
		Expect(value).To(BeEquivalentTo(1))
	})

	It("neither polls nor writes when nothing has changed within a minute", func() {
		exporter, r := polled()
		asked := exporter.requests.Load()
		r.clock.Advance(20 * time.Second)
		Expect(r.succeeds().statusWrites()).To(BeEmpty())
		Expect(exporter.requests.Load()).To(Equal(asked))
	})

	It("polls again every minute, and writes only the time of contact", func() {
		exporter, r := polled()
		asked := exporter.requests.Load()
		r.clock.Advance(time.Minute)
		r.succeeds()
		Expect(exporter.requests.Load()).To(Equal(asked + 2))
		writes := r.statusWrites()
		Expect(writes).To(HaveLen(1))
		Expect(writes[0]).To(MatchJSON(`{"status": {"metadataCache": {
			"publicLastFetchTimestamp": "2030-11-22T12:01:10Z", "privateLastFetchTimestamp": "2030-11-22T12:01:10Z"}}}`))
	})

	DescribeTable("polls at once", func(when func(*run)) {
		exporter, r := polled()
		exporter.documents["/metadata/"+metadata.FederationPath] = metadata.Federation{
			IngressGateways: []metadata.IngressGateway{}, PublicServices: []metadata.PublicService{}}
		when(r)
		r.clock.Advance(time.Second)
		r.succeeds()
		imported, _, err := unstructured.NestedInt64(r.KubernetesGlobalResource("IstioFederation", "cluster-b").Object, "status", "importedServices")
		Expect(err).NotTo(HaveOccurred())
		Expect(imported).To(BeZero())
	},
		Entry("when the watcher reports a change", func(r *run) { r.report("federation", "cluster-b", "-.changed") }),
		Entry("when a person requests it", func(r *run) { refresh(r, "now") }),
	)

	It("retains what it learned when the peer is unreachable, and reports that and its age", func() {
		exporter, r := polled()
		exporter.Close()
		r.clock.Advance(2 * time.Minute)
		r.succeeds()
		Expect(ready(r)).To(And(HaveKeyWithValue("status", "False"), HaveKeyWithValue("reason", "PeerUnreachable")))
		services, _, err := unstructured.NestedSlice(r.KubernetesGlobalResource("IstioFederation", "cluster-b").Object, "status", "metadataCache", "private", "publicServices")
		Expect(err).NotTo(HaveOccurred())
		Expect(services).To(HaveLen(1))
		age, _ := r.metric(metadataAgeMetric)
		Expect(age).To(BeEquivalentTo(120))

		r.clock.Advance(time.Minute)
		Expect(r.succeeds().statusWrites()).To(BeEmpty(), "the same failure again is not written again")
	})

	It("gives a peer that did not answer a second, and three once it has answered the watcher", func() {
		exporter, client := startPeer(), &timed{Client: peer.NewClient()}
		r := newRun(federationDiscovery(client, nil), federationSettings).given(exporter.resource(""), ownKeypair(), versionsConfigMap("federation", nil))
		exporter.Close()
		waits := func() time.Duration {
			GinkgoHelper()
			client.longest = 0
			r.succeeds()
			Expect(ready(r)).To(HaveKeyWithValue("reason", "PeerUnreachable"))
			return client.longest
		}
		Expect(waits()).To(BeNumerically(">", time.Second), "for the first time")
		r.clock.Advance(time.Minute)
		Expect(waits()).To(BeNumerically("<=", time.Second), "it delays the others")
		nudged := nudge.Value("0123456789ab.0123456789ab", r.clock.Now())
		r.report("federation", "cluster-b", nudged)
		Expect(waits()).To(BeNumerically(">", time.Second), "it has answered the watcher, perhaps slowly")
		r.clock.Advance(time.Minute)
		Expect(waits()).To(BeNumerically(">", time.Second), "it was perhaps too slow for more than one poll in the minute before")
		r.clock.Advance(2 * time.Minute)
		Expect(waits()).To(BeNumerically("<=", time.Second), "that was long ago")
	})

	events := func(r *run) map[string]string {
		GinkgoHelper()
		found, err := r.KubeClient().Resource(eventsGVR).Namespace("default").List(context.Background(), listOptions)
		Expect(err).NotTo(HaveOccurred())
		reasons := map[string]string{}
		for _, event := range found.Items {
			Expect(event.Object).To(HaveKeyWithValue("involvedObject", And(HaveKeyWithValue("name", "cluster-b"), HaveKeyWithValue("uid", "uid-b"))))
			reasons[event.Object["reason"].(string)] = event.Object["type"].(string)
		}
		return reasons
	}

	It("makes an Event when the peer becomes ready or not ready, and none in between", func() {
		exporter, r := polled()
		Expect(events(r)).To(Equal(map[string]string{"Joined": "Normal"}))
		exporter.Close()
		r.clock.Advance(time.Minute)
		r.succeeds()
		Expect(events(r)).To(Equal(map[string]string{"Joined": "Normal", "PeerUnreachable": "Warning"}))
		for range 3 {
			r.clock.Advance(time.Minute)
			Expect(r.succeeds().statusWrites()).To(BeEmpty())
		}
	})

	It("rejects another identity of an unverified peer until a person confirms it", func() {
		exporter := startPeer()
		unverified := strings.Replace(exporter.resource(""), "  metadata:\n    ca:", "  metadata:\n    insecureSkipVerify: true\n    ca:", 1)
		r := newRun(federationDiscovery(peer.NewClient(), nil), federationSettings).given(unverified, ownKeypair()).succeeds()
		Expect(ready(r)).To(HaveKeyWithValue("status", "True"))
		public := exporter.documents["/metadata/"+metadata.PublicPath].(metadata.Public)
		public.ClusterUUID = "uuid-x"
		exporter.documents["/metadata/"+metadata.PublicPath] = public
		r.clock.Advance(time.Minute)
		r.succeeds()
		Expect(ready(r)).To(And(HaveKeyWithValue("status", "False"), HaveKeyWithValue("reason", "IdentityChanged")))
		_, fingerprint, found := strings.Cut(ready(r)["message"].(string), "istio.deckhouse.io/accept-identity=")
		Expect(found).To(BeTrue())

		resource := r.KubernetesGlobalResource("IstioFederation", "cluster-b")
		resource.SetAnnotations(map[string]string{"istio.deckhouse.io/accept-identity": fingerprint})
		_, err := r.KubeClient().Resource(federationsGVR).Update(context.Background(), resource, updateOptions)
		Expect(err).NotTo(HaveOccurred())
		r.succeeds()
		Expect(ready(r)).To(HaveKeyWithValue("status", "True"), "at once, not only in the next minute")
	})

	It("reports that federation is off, and polls again when it is back on", func() {
		exporter, r := polled()
		r.ValuesSet("istio.federation.enabled", false)
		r.succeeds()
		Expect(ready(r)).To(And(HaveKeyWithValue("status", "False"), HaveKeyWithValue("reason", "FederationDisabled")))
		asked := exporter.requests.Load()
		Expect(r.succeeds().statusWrites()).To(BeEmpty())
		Expect(exporter.requests.Load()).To(Equal(asked))

		r.ValuesSet("istio.federation.enabled", true)
		r.succeeds()
		Expect(ready(r)).To(HaveKeyWithValue("status", "True"))
	})

	It("polls unconditionally while the snapshot is older than its last write, and writes the whole status", func() {
		exporter, r := polled()
		older := r.KubernetesGlobalResource("IstioFederation", "cluster-b")
		exporter.documents["/metadata/"+metadata.FederationPath] = metadata.Federation{
			IngressGateways: []metadata.IngressGateway{{Address: "192.0.2.1", Port: 15443}}, PublicServices: []metadata.PublicService{}}
		r.report("federation", "cluster-b", "-.changed")
		r.succeeds()

		// The peer reverts it before the informer has delivered the write.
		r.report("federation", "cluster-b", "-.again")
		_, err := r.KubeClient().Resource(federationsGVR).Update(context.Background(), older, updateOptions)
		Expect(err).NotTo(HaveOccurred())
		r.succeeds()
		services, _, err := unstructured.NestedSlice(r.KubernetesGlobalResource("IstioFederation", "cluster-b").Object, "status", "metadataCache", "private", "publicServices")
		Expect(err).NotTo(HaveOccurred())
		Expect(services).To(BeEmpty(), "the peer publishes nothing, whatever the old snapshot has")
	})

	It("writes what has changed, on the condition that the status is the one compared with", func() {
		exporter, r := polled()
		path := "/metadata/" + metadata.FederationPath
		published := exporter.documents[path].(metadata.Federation)
		published.PublicServices = append(slices.Clone(published.PublicServices), metadata.PublicService{
			Hostname: "web.shop.svc.cluster-b.local", Ports: []metadata.ServicePort{{Name: "http", Port: 80, Protocol: "HTTP"}},
		})
		exporter.documents[path] = published
		known := r.KubernetesGlobalResource("IstioFederation", "cluster-b")
		known.SetResourceVersion("8")
		_, err := r.KubeClient().Resource(federationsGVR).Update(context.Background(), known, updateOptions)
		Expect(err).NotTo(HaveOccurred())
		r.clock.Advance(time.Minute)
		r.succeeds()
		writes := r.statusWrites()
		Expect(writes).To(HaveLen(1))
		Expect(writes[0]).To(And(
			MatchRegexp(`^\[{"op":"test","path":"/metadata/uid","value":"uid-b"},{"op":"test","path":"/status/metadataCache/private/digest","value":"[0-9a-f]{32}"},`),
			ContainSubstring(`{"op":"add","path":"/status/metadataCache/private/publicServices/1","value":{"hostname":"web.shop.svc.cluster-b.local"`),
			Not(ContainSubstring("api.shop"))))
		imported, _, err := unstructured.NestedInt64(r.KubernetesGlobalResource("IstioFederation", "cluster-b").Object, "status", "importedServices")
		Expect(err).NotTo(HaveOccurred())
		Expect(imported).To(BeEquivalentTo(2))
	})

	It("fetches everything again when what was learned has been edited", func() {
		_, r := polled()
		edited := r.KubernetesGlobalResource("IstioFederation", "cluster-b")
		Expect(unstructured.SetNestedSlice(edited.Object, []any{}, "status", "metadataCache", "private", "publicServices")).To(Succeed())
		_, err := r.KubeClient().Resource(federationsGVR).Update(context.Background(), edited, updateOptions)
		Expect(err).NotTo(HaveOccurred())
		r.clock.Advance(time.Minute)
		r.succeeds()
		services, _, err := unstructured.NestedSlice(r.KubernetesGlobalResource("IstioFederation", "cluster-b").Object, "status", "metadataCache", "private", "publicServices")
		Expect(err).NotTo(HaveOccurred())
		Expect(services).To(HaveLen(1), "though the peer's document has not changed")
	})

	It("reports no metrics while federation is off", func() {
		_, r := polled()
		r.ValuesSet("istio.federation.enabled", false)
		r.succeeds()
		_, reported := r.metric(peerReadyMetric)
		Expect(reported).To(BeFalse())
	})

	It("fails with a sentence when the cluster's own facts are missing", func() {
		r := newRun(federationDiscovery(peer.NewClient(), nil), "istio:\n  federation: {enabled: true}").given(startPeer().resource(""), ownKeypair())
		r.RunHook()
		Expect(r.HookError()).To(MatchError(ContainSubstring("global.discovery.clusterDomain")))
	})
})
