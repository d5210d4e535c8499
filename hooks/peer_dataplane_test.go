package hooks

import (
	"context"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/deckhouse-mesh/istio/lib/healthcheck"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/peer"
)

// federationWithVersion has a version of Istio, without which nothing calls peers.
var federationWithVersion = strings.Replace(federationSettings, "internal: {}", `alliance: {healthcheck: {enabled: true}}
  internal:
    versions:
    - {version: "1.31", revision: v1x31, fullVersion: 1.31.3, imageSuffix: V1x31, restartOnReplacedKubeconfig: false}`, 1)

// reportsConfigMap has what a Pod of alliance-healthcheck wrote.
func reportsConfigMap(at time.Time, results map[string]healthcheck.Result) string {
	GinkgoHelper()
	encoded, err := healthcheck.Report{Time: at, Results: results}.Encode()
	Expect(err).NotTo(HaveOccurred())
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {namespace: d8-istio, name: %s}\ndata:\n  pod-1: %q\n", healthcheck.ReportsConfigMap, encoded)
}

func (r *run) dataplane(kind, name string) map[string]any {
	GinkgoHelper()
	conditions, _, err := unstructured.NestedSlice(r.KubernetesGlobalResource(kind, name).Object, "status", "conditions")
	Expect(err).NotTo(HaveOccurred())
	for _, each := range conditions {
		if condition := each.(map[string]any); condition["type"] == "DataplaneConnectionReady" {
			return condition
		}
	}
	return nil
}

var _ = Describe("The condition DataplaneConnectionReady", func() {
	start := time.Date(2030, 11, 22, 12, 0, 10, 0, time.UTC)

	answers := map[string]healthcheck.Result{"IstioFederation/cluster-b": {ClusterUUID: "uuid-b", Reason: healthcheck.ReasonAnswers}}
	rejected := map[string]healthcheck.Result{"IstioFederation/cluster-b": {ClusterUUID: "uuid-b", Reason: healthcheck.ReasonTLSRejected, Message: "the peer rejects the certificate of this cluster"}}

	publishing := func(services ...string) *aPeer {
		GinkgoHelper()
		exporter := startPeer()
		document := exporter.documents["/metadata/"+metadata.FederationPath].(metadata.Federation)
		for _, name := range services {
			document.PublicServices = append(document.PublicServices, metadata.PublicService{
				Hostname: name + ".d8-istio.svc.cluster-b.local", Ports: []metadata.ServicePort{{Name: "http", Port: 80, Protocol: "HTTP"}}})
		}
		exporter.documents["/metadata/"+metadata.FederationPath] = document
		return exporter
	}
	report := func(r *run, at time.Time, results map[string]healthcheck.Result) {
		GinkgoHelper()
		encoded, err := healthcheck.Report{Time: at, Results: results}.Encode()
		Expect(err).NotTo(HaveOccurred())
		configMaps := r.KubeClient().Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace("d8-istio")
		found, err := configMaps.Get(context.Background(), healthcheck.ReportsConfigMap, metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(unstructured.SetNestedField(found.Object, encoded, "data", "pod-1")).To(Succeed())
		_, err = configMaps.Update(context.Background(), found, updateOptions)
		Expect(err).NotTo(HaveOccurred())
	}
	polled := func(exporter *aPeer, values string, results map[string]healthcheck.Result) *run {
		GinkgoHelper()
		return newRun(federationDiscovery(peer.NewClient(), nil), values).
			given(exporter.resource(""), ownKeypair(), versionsConfigMap("federation", nil), reportsConfigMap(start, results)).succeeds()
	}

	DescribeTable("says what is known", func(values string, services []string, results map[string]healthcheck.Result, status, reason string, metric any) {
		r := polled(publishing(services...), values, results)
		Expect(r.dataplane("IstioFederation", "cluster-b")).To(And(HaveKeyWithValue("status", status), HaveKeyWithValue("reason", reason)))
		Expect(readyOf(r, "IstioFederation", "cluster-b")).To(HaveKeyWithValue("status", "True"), "readiness does not depend on it")
		series := r.series(dataplaneConnectionMetric, "alliance_kind", "name", "peer_cluster_uuid")
		if metric == nil {
			Expect(series).To(BeEmpty())
		} else {
			Expect(series).To(HaveKeyWithValue("IstioFederation cluster-b uuid-b", BeEquivalentTo(metric)))
		}
	},
		Entry("the peer answers", federationWithVersion, []string{"alliance-healthcheck-uuid-b"}, answers, "True", "Answers", 1),
		Entry("the peer does not answer", federationWithVersion, []string{"alliance-healthcheck-uuid-b"}, rejected, "False", "TLSRejected", 0),
		Entry("a peer without the Service, whatever is reported", federationWithVersion, nil, rejected, "Unknown", "NotPublished", nil),
		Entry("a peer with the Service of another cluster", federationWithVersion, []string{"alliance-healthcheck-uuid-c"}, rejected, "Unknown", "NotPublished", nil),
		Entry("nothing is reported of the peer", federationWithVersion, []string{"alliance-healthcheck-uuid-b"}, nil, "Unknown", "NotChecked", nil),
		Entry("no version of Istio is installed", federationSettings, []string{"alliance-healthcheck-uuid-b"}, answers, "Unknown", "HealthcheckDisabled", nil),
		Entry("the check is switched off", strings.Replace(federationWithVersion, "healthcheck: {enabled: true}", "healthcheck: {enabled: false}", 1),
			[]string{"alliance-healthcheck-uuid-b"}, answers, "Unknown", "HealthcheckDisabled", nil),
	)

	It("changes when the report does, without polling the peer, and is written once", func() {
		exporter := publishing("alliance-healthcheck-uuid-b")
		r := polled(exporter, federationWithVersion, answers)
		asked := exporter.requests.Load()
		r.clock.Advance(5 * time.Second)
		report(r, start, rejected)
		Expect(r.succeeds().statusWrites()).To(HaveLen(1))
		Expect(r.dataplane("IstioFederation", "cluster-b")).To(And(HaveKeyWithValue("status", "False"),
			HaveKeyWithValue("message", ContainSubstring("the peer rejects the certificate of this cluster"))))
		Expect(exporter.requests.Load()).To(Equal(asked))
		Expect(r.succeeds().statusWrites()).To(BeEmpty())
	})

	It("is unknown when the last report is stale", func() {
		r := polled(publishing("alliance-healthcheck-uuid-b"), federationWithVersion, answers)
		r.clock.Advance(4 * time.Minute)
		r.succeeds()
		Expect(r.dataplane("IstioFederation", "cluster-b")).To(And(HaveKeyWithValue("status", "Unknown"), HaveKeyWithValue("reason", "NotChecked")))
	})

	It("is unknown of a cluster in the same mesh that has no such Service", func() {
		exporter := startPeer().ofSameMesh()
		values := strings.Replace(federationWithVersion, "federation: {enabled: true}", "multicluster: {enabled: true}", 1)
		r := newRun(multiclusterDiscovery(apiAt{peer.NewClient(), exporter}), values).given(exporter.multicluster(), ownKeypair(),
			reportsConfigMap(start, map[string]healthcheck.Result{"IstioMulticluster/b": {ClusterUUID: "uuid-b", Reason: healthcheck.ReasonNameUnknown}})).succeeds()
		Expect(r.dataplane("IstioMulticluster", "b")).To(And(HaveKeyWithValue("status", "Unknown"), HaveKeyWithValue("reason", "NotPublished")))
		report(r, start, map[string]healthcheck.Result{"IstioMulticluster/b": {ClusterUUID: "uuid-b", Reason: healthcheck.ReasonAnswers}})
		Expect(r.succeeds().dataplane("IstioMulticluster", "b")).To(HaveKeyWithValue("status", "True"))
		Expect(r.series(dataplaneConnectionMetric, "alliance_kind", "name", "peer_cluster_uuid")).To(HaveKeyWithValue("IstioMulticluster b uuid-b", BeEquivalentTo(1)))
	})
})
