package hooks

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/ca"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/peer"
)

// aPeer is a peer's metadata-exporter on a real TLS listener.
type aPeer struct {
	*httptest.Server
	documents map[string]any
	requests  atomic.Int32
}

func startPeer() *aPeer { return startPeerCalled("b") }

func startPeerCalled(letter string) *aPeer {
	GinkgoHelper()
	authority, err := ca.Generate("cluster-" + letter + ".local")
	Expect(err).NotTo(HaveOccurred())
	keypair, err := authn.GenerateKeypair()
	Expect(err).NotTo(HaveOccurred())
	p := &aPeer{documents: map[string]any{
		"/metadata/" + metadata.PublicPath: metadata.Public{ClusterUUID: "uuid-" + letter, AuthnKeyPub: keypair.Pub, RootCA: authority.Root},
		"/metadata/" + metadata.FederationPath: metadata.Federation{
			IngressGateways: []metadata.IngressGateway{{Address: "192.0.2.1", Port: 15443}},
			PublicServices: []metadata.PublicService{{Hostname: "api.shop.svc.cluster-" + letter + ".local",
				Ports: []metadata.ServicePort{{Name: "http", Port: 80, Protocol: "HTTP"}}}},
		},
	}}
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		p.requests.Add(1)
		body, err := json.Marshal(p.documents[request.URL.Path])
		if err != nil {
			panic(err)
		}
		w.Header().Set("ETag", metadata.ETag(body))
		if request.Header.Get("If-None-Match") == metadata.ETag(body) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write(body)
	}))
	DeferCleanup(p.Close)
	return p
}

// resource is the IstioFederation that leads to the peer.
func (p *aPeer) resource(metadataLines string) string {
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw})
	return fmt.Sprintf(`
apiVersion: deckhouse.io/v1alpha1
kind: IstioFederation
metadata:
  name: cluster-b
  uid: uid-b
  generation: 1
  creationTimestamp: "2030-11-22T11:00:00Z"
%s
spec:
  trustDomain: cluster-b.local
  metadataEndpoint: %s/metadata/
  metadata:
    ca: |
      %s
`, metadataLines, p.URL, strings.ReplaceAll(strings.TrimSpace(string(authority)), "\n", "\n      "))
}

func ownKeypair() string {
	GinkgoHelper()
	keypair, err := authn.GenerateKeypair()
	Expect(err).NotTo(HaveOccurred())
	return aSecret("d8-system", authnSecret, map[string]string{"priv.pem": keypair.Priv, "pub.pem": keypair.Pub})
}

const multiclusterSettings = `
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
func (p *aPeer) ofSameMesh() *aPeer {
	public := p.documents["/metadata/"+metadata.PublicPath].(metadata.Public)
	public.TrustDomain = "cluster-a.local"
	p.documents["/metadata/"+metadata.PublicPath] = public
	p.documents["/metadata/"+metadata.MulticlusterPath] = metadata.Multicluster{
		IngressGateways: []metadata.IngressGateway{{Address: "192.0.2.1", Port: 15443}},
		APIHost:         apiHostOfB, NetworkName: "network-b",
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

// timed is a client that notes how long a request may take at most.
type timed struct {
	*peer.Client
	longest time.Duration
}

// Get implements discovery.Getter.
func (t *timed) Get(ctx context.Context, target peer.Target, request peer.Request) (*peer.Response, error) {
	deadline, _ := ctx.Deadline()
	t.longest = max(t.longest, time.Until(deadline))
	return t.Client.Get(ctx, target, request)
}

// apiHostOfB is where peers say that their API is: this machine's own address would be rejected.
const apiHostOfB = "istio-api-proxy.cluster-b.example.com"

// apiAt is a client that finds apiHostOfB at a peer of the test.
type apiAt struct {
	*peer.Client
	*aPeer
}

// Get implements discovery.Getter.
func (a apiAt) Get(ctx context.Context, target peer.Target, request peer.Request) (*peer.Response, error) {
	target.URL = strings.Replace(target.URL, "https://"+apiHostOfB, a.URL, 1)
	return a.Client.Get(ctx, target, request)
}
