package hooks

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/peer"
)

const meshedSettings = `
global:
  discovery: {clusterDomain: cluster-a.local, clusterUUID: uuid-a}
  modules: {publicDomainTemplate: "%s.cluster-a.example.com", https: {mode: OnlyInURI}}
istio:
  multicluster: {enabled: true}
  internal: {}
`

// aMulticluster is an IstioMulticluster whose peer is known.
func aMulticluster(name, spec string) string {
	return fmt.Sprintf(`
apiVersion: deckhouse.io/v1alpha1
kind: IstioMulticluster
metadata: {name: %[1]s, uid: uid-%[1]s, generation: 1, creationTimestamp: "2030-11-22T11:00:00Z"}
spec:
  metadataEndpoint: https://istio.%[1]s.example.com/metadata/
%[2]s
status:
  metadataCache:
    public: {clusterUUID: uuid-%[1]s, authnKeyPub: key of %[1]s, rootCA: root of %[1]s}
    private:
      ingressGateways: [{address: 192.0.2.7, port: 15443}]
      apiHost: istio-api-proxy.%[1]s.example.com
      networkName: network-%[1]s
`, name, spec)
}

// inMesh makes the peer one of the same mesh, with an API behind its own address.
func (p *aPeer) inMesh() *aPeer {
	public := p.documents["/metadata/"+metadata.PublicPath].(metadata.Public)
	public.TrustDomain = "cluster-a.local"
	p.documents["/metadata/"+metadata.PublicPath] = public
	p.documents["/metadata/"+metadata.MulticlusterPath] = metadata.Multicluster{
		IngressGateways: []metadata.IngressGateway{{Address: "192.0.2.1", Port: 15443}},
		APIHost:         strings.TrimPrefix(p.URL, "https://"), NetworkName: "network-b",
	}
	p.documents["/version"] = map[string]string{"gitVersion": "v1.34.3"}
	return p
}

func (p *aPeer) multicluster() string {
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw})
	return fmt.Sprintf(`
apiVersion: deckhouse.io/v1alpha1
kind: IstioMulticluster
metadata: {name: b, uid: uid-b, generation: 1, creationTimestamp: "2030-11-22T11:00:00Z"}
spec:
  metadataEndpoint: %s/metadata/
  metadata:
    ca: |
      %s
`, p.URL, strings.ReplaceAll(strings.TrimSpace(string(authority)), "\n", "\n      "))
}

func readyOf(r *run, kind, name string) map[string]any {
	GinkgoHelper()
	conditions, _, err := unstructured.NestedSlice(r.KubernetesGlobalResource(kind, name).Object, "status", "conditions")
	Expect(err).NotTo(HaveOccurred())
	for _, each := range conditions {
		if condition := each.(map[string]any); condition["type"] == "Ready" {
			return condition
		}
	}
	return nil
}

var _ = Describe("Hook multicluster_discovery", func() {
	joined := func() (*aPeer, *run) {
		GinkgoHelper()
		neighbour := startPeer().inMesh()
		r := newRun(multiclusterDiscovery(peer.NewClient()), meshedSettings).given(neighbour.multicluster(), ownKeypair()).succeeds()
		Expect(readyOf(r, "IstioMulticluster", "b")).To(HaveKeyWithValue("status", "True"))
		return neighbour, r
	}

	It("fetches, judges, asks the API, and writes status and metrics", func() {
		neighbour, r := joined()
		encoded, err := json.Marshal(r.KubernetesGlobalResource("IstioMulticluster", "b").Object["status"])
		Expect(err).NotTo(HaveOccurred())
		Expect(encoded).To(And(ContainSubstring(`"networkName":"network-b"`), ContainSubstring(`"clusterUUID":"uuid-b"`)))
		Expect(neighbour.requests.Load()).To(BeEquivalentTo(3))
		for _, name := range []string{multiclusterPeerReadyMetric, multiclusterAPIMetric} {
			value, found := r.metric(name)
			Expect(found).To(BeTrue(), name)
			Expect(value).To(BeEquivalentTo(1), name)
		}
	})

	It("writes nothing and asks nobody when there is nothing new within a minute, and only the time of contact after it", func() {
		neighbour, r := joined()
		asked := neighbour.requests.Load()
		r.clock.Advance(20 * time.Second)
		Expect(r.succeeds().PatchedOperations()).To(BeEmpty())
		Expect(neighbour.requests.Load()).To(Equal(asked))
		r.clock.Advance(time.Minute)
		Expect(r.succeeds().PatchedOperations()).To(HaveLen(1))
		Expect(neighbour.requests.Load()).To(Equal(asked + 3))
	})

	It("says within a minute that the API does not answer, and keeps what was learned", func() {
		neighbour, r := joined()
		neighbour.documents["/version"] = map[string]string{"kind": "Status"}
		r.clock.Advance(time.Minute)
		r.succeeds()
		Expect(readyOf(r, "IstioMulticluster", "b")).To(And(HaveKeyWithValue("status", "False"), HaveKeyWithValue("reason", "PeerAPIUnexpectedAnswer")))
		value, _ := r.metric(multiclusterAPIMetric)
		Expect(value).To(BeEquivalentTo(0))
		network, _, err := unstructured.NestedString(r.KubernetesGlobalResource("IstioMulticluster", "b").Object, "status", "metadataCache", "private", "networkName")
		Expect(err).NotTo(HaveOccurred())
		Expect(network).To(Equal("network-b"))
	})

	It("asks nobody while multicluster is off, and says so", func() {
		neighbour := startPeer().inMesh()
		r := newRun(multiclusterDiscovery(peer.NewClient()), joinedSettings).given(neighbour.multicluster(), ownKeypair()).succeeds()
		Expect(readyOf(r, "IstioMulticluster", "b")).To(HaveKeyWithValue("reason", "MulticlusterDisabled"))
		Expect(neighbour.requests.Load()).To(BeZero())
	})
})

var _ = Describe("Hook multicluster_switch", func() {
	It("says in every resource that multicluster is off, and wakes the discovery when it is on again", func() {
		r := newRun(multiclusterSwitch(), joinedSettings).given(aMulticluster("b", ""), revisionsOf("multicluster", nil)).succeeds()
		Expect(readyOf(r, "IstioMulticluster", "b")).To(HaveKeyWithValue("reason", "MulticlusterDisabled"))
		Expect(r.succeeds().PatchedOperations()).To(BeEmpty())
		r.ValuesSet("istio.multicluster.enabled", true)
		r.succeeds()
		first := r.told("multicluster")
		Expect(first).To(HaveKey("b"))
		r.succeeds()
		Expect(r.told("multicluster")).To(Equal(first))
	})
})

var _ = Describe("Hook alliance_metadata for clusters of the same mesh", func() {
	It("collects whose tokens are accepted, and what the mesh needs of them", func() {
		r := newRun(allianceMetadata(), meshedSettings).given(aMulticluster("b", ""), aMulticluster("flat", "  enableIngressGateway: false")).succeeds()
		Expect(r.ValuesGet(remotePublicMetadataPath).Get("uuid-b").Raw).To(MatchJSON(
			`{"kind": "IstioMulticluster", "name": "b", "resourceUID": "uid-b", "clusterUUID": "uuid-b", "trustDomain": "cluster-a.local", "authnKeyPub": "key of b", "rootCA": "root of b"}`))
		Expect(r.ValuesGet(multiclustersPath).Raw).To(MatchJSON(`[
			{"name": "b", "trustDomain": "cluster-a.local", "networkName": "network-b", "ingressGateways": [{"address": "192.0.2.7", "port": 15443}], "rootCA": "root of b", "anchors": []},
			{"name": "flat", "trustDomain": "cluster-a.local", "networkName": "network-flat", "ingressGateways": [], "rootCA": "root of flat", "anchors": []}
		]`))
		Expect(r.ValuesGet(gatewayWantedPath).Bool()).To(BeTrue())
	})

	It("bounds the trust in their roots to the common domain, beside a federation of the same name", func() {
		neighbour := startPeer().inMesh()
		root := neighbour.documents["/metadata/"+metadata.PublicPath].(metadata.Public).RootCA
		with := func(manifest string) string {
			return strings.Replace(manifest, "rootCA: root of b}", "rootCA: \""+strings.ReplaceAll(root, "\n", "\\n")+"\"}", 1)
		}
		federated := strings.ReplaceAll(aFederation("b"), "uuid-b", "uuid-f")
		r := newRun(allianceMetadata(), meshedSettings)
		r.ValuesSet("istio.federation.enabled", true)
		r.given(with(aMulticluster("b", "")), federated).succeeds()
		anchors := r.ValuesGet(multiclustersPath).Array()[0].Get("anchors").Array()
		Expect(anchors).To(HaveLen(1))
		Expect(anchors[0].String()).To(And(ContainSubstring("BEGIN CERTIFICATE"), Not(Equal(root))))
		Expect(r.ValuesGet(federationsPath).Array()[0].Get("anchors").Array()).To(BeEmpty(), "the federation's root is no certificate")
		r.succeeds()
		Expect(r.ValuesGet(multiclustersPath).Array()[0].Get("anchors").Array()).To(Equal(anchors), "an anchor changes only for a reason")
	})

	It("wants no gateway where all networks are flat, and wants one before the neighbour is known", func() {
		r := newRun(allianceMetadata(), meshedSettings).given(aMulticluster("b", "  enableIngressGateway: false")).succeeds()
		Expect(r.ValuesGet(gatewayWantedPath).Bool()).To(BeFalse())
		unknown, _, _ := strings.Cut(aMulticluster("b", ""), "status:")
		r.given(unknown).succeeds()
		Expect(r.ValuesGet(gatewayWantedPath).Bool()).To(BeTrue())
		Expect(r.ValuesGet(multiclustersPath).Raw).To(MatchJSON(`[]`))
	})

	It("lets go of everybody when the resource is deleted or multicluster is switched off", func() {
		r := newRun(allianceMetadata(), meshedSettings).given(aMulticluster("b", "")).succeeds()
		r.given().succeeds()
		Expect(r.ValuesGet(remotePublicMetadataPath).Raw).To(MatchJSON(`{}`))
		r.given(aMulticluster("b", "")).succeeds()
		r.ValuesSet("istio.multicluster.enabled", false)
		r.succeeds()
		Expect(r.ValuesGet(remotePublicMetadataPath).Raw).To(MatchJSON(`{}`))
		Expect(r.ValuesGet(multiclustersPath).Raw).To(MatchJSON(`[]`))
		Expect(r.ValuesGet(gatewayWantedPath).Bool()).To(BeFalse())
	})

	It("gives an identity to the older resource, whichever its kind", func() {
		older := strings.Replace(aMulticluster("b", ""), "11:00:00", "10:00:00", 1)
		r := newRun(allianceMetadata(), meshedSettings)
		r.ValuesSet("istio.federation.enabled", true)
		r.given(older, aFederation("b")).succeeds()
		Expect(r.ValuesGet(remotePublicMetadataPath).Get("uuid-b").Get("kind").String()).To(Equal("IstioMulticluster"))
		Expect(r.ValuesGet(federationsPath).Raw).To(MatchJSON(`[]`))
	})
})

var _ = Describe("Hook multicluster_remote_secrets", func() {
	keyed := func() *run {
		GinkgoHelper()
		keypair, err := authn.GenerateKeypair()
		Expect(err).NotTo(HaveOccurred())
		r := newRun(multiclusterRemoteSecrets(), meshedSettings)
		r.ValuesSet("istio.internal.remoteAuthnKeypair", map[string]string{"priv": keypair.Priv, "pub": keypair.Pub})
		return r
	}
	kubeconfigs := func(r *run) map[string]string {
		found := map[string]string{}
		for name, value := range r.ValuesGet(remoteKubeconfigsPath).Map() {
			found[name] = value.String()
		}
		return found
	}

	It("makes a kubeconfig for each accepted cluster, once", func() {
		r := keyed().given(aMulticluster("b", ""), aMulticluster("c", "  metadata: {insecureSkipVerify: true}")).succeeds()
		first := kubeconfigs(r)
		Expect(first).To(HaveLen(2))
		config, err := clientcmd.Load([]byte(first["b"]))
		Expect(err).NotTo(HaveOccurred())
		Expect(config.Clusters["b"].Server).To(Equal("https://istio-api-proxy.b.example.com"))
		Expect(config.AuthInfos["b"].Token).NotTo(BeEmpty())
		r.clock.Advance(24 * time.Hour)
		Expect(kubeconfigs(r.succeeds())).To(Equal(first))
		Expect(r.ValuesGet(replacedKubeconfigsPath).Raw).To(MatchJSON(`[]`))
		r.clock.Advance(4 * 24 * time.Hour)
		Expect(kubeconfigs(r.succeeds())["b"]).NotTo(Equal(first["b"]))
		replaced := r.ValuesGet(replacedKubeconfigsPath).Array()
		Expect(replaced).To(HaveLen(2))
		Expect(r.succeeds().ValuesGet(replacedKubeconfigsPath).Array()).To(Equal(replaced))
	})

	It("takes over what an earlier process had rendered", func() {
		r := keyed().given(aMulticluster("b", "")).succeeds()
		first := kubeconfigs(r)
		rendered := strings.Replace(aSecret("d8-istio", remoteSecretPrefix+"b", first),
			"name: istio-remote-secret-b}", `name: istio-remote-secret-b, labels: {istio/multiCluster: "true"}}`, 1)
		r.ValuesSet(remoteKubeconfigsPath, map[string]string{})
		Expect(kubeconfigs(r.given(aMulticluster("b", ""), rendered).succeeds())).To(Equal(first))
	})

	It("makes none for a cluster that cannot be entered, and for one whose API is not known", func() {
		closed := strings.Replace(aMulticluster("b", ""), "[{address: 192.0.2.7, port: 15443}]", "[]", 1)
		Expect(kubeconfigs(keyed().given(closed).succeeds())).To(BeEmpty())
		flat := strings.Replace(closed, "status:", "  enableIngressGateway: false\nstatus:", 1)
		Expect(kubeconfigs(keyed().given(flat).succeeds())).To(HaveKey("b"))
		before, _, _ := strings.Cut(aMulticluster("b", ""), "    private:")
		Expect(kubeconfigs(keyed().given(before).succeeds())).To(BeEmpty())
	})

	It("puts changed TLS settings into it when the peer has answered under them, and not before", func() {
		const trusted, changed = "  metadata: {ca: one}", "  metadata: {ca: other}"
		answered := func(spec, status string, observed int) string {
			manifest := strings.Replace(aMulticluster("b", spec), "generation: 1", "generation: 2", 1)
			return strings.Replace(manifest, "status:\n", fmt.Sprintf(
				"status:\n  conditions: [{type: PublicMetadataFetched, status: %q, observedGeneration: %d}]\n", status, observed), 1)
		}
		r := keyed().given(answered(trusted, "True", 2)).succeeds()
		first := kubeconfigs(r)
		Expect(first).To(HaveKey("b"))
		for _, doubted := range []string{answered(changed, "True", 1), answered(changed, "False", 2)} {
			Expect(kubeconfigs(r.given(doubted).succeeds())).To(Equal(first))
		}
		Expect(kubeconfigs(r.given(answered(changed, "True", 2)).succeeds())).NotTo(Equal(first))
	})

	It("removes it with the resource, and all when multicluster is switched off", func() {
		r := keyed().given(aMulticluster("b", ""), aMulticluster("c", "")).succeeds()
		Expect(kubeconfigs(r.given(aMulticluster("c", "")).succeeds())).To(And(HaveKey("c"), HaveLen(1)))
		r.ValuesSet("istio.multicluster.enabled", false)
		Expect(kubeconfigs(r.succeeds())).To(BeEmpty())
	})

	It("waits for this cluster's key", func() {
		r := newRun(multiclusterRemoteSecrets(), meshedSettings).given(aMulticluster("b", "")).succeeds()
		Expect(r.ValuesGet(remoteKubeconfigsPath).Exists()).To(BeFalse())
	})
})

var _ = Describe("Hook cluster_local_services", func() {
	const objects = `
apiVersion: v1
kind: Namespace
metadata: {name: private, labels: {multicluster.istio.deckhouse.io/cluster-local: ""}}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop, labels: {multicluster.istio.deckhouse.io/cluster-local: "true"}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
`
	It("finds what people have labelled", func() {
		r := newRun(clusterLocalServices(), meshedSettings).given(objects).succeeds()
		Expect(r.ValuesGet(clusterLocalHostsPath).Raw).To(MatchJSON(`["*.private.svc.cluster-a.local", "db.shop.svc.cluster-a.local"]`))
		r.ValuesSet("istio.multicluster.enabled", false)
		r.succeeds()
		Expect(r.ValuesGet(clusterLocalHostsPath).Raw).To(MatchJSON(`[]`))
	})
})
