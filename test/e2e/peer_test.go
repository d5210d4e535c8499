//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/ca"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// fakePeer is a neighbour that is not a lab cluster: it says what a test makes it say.
type fakePeer struct {
	trustDomain string
	// public and private answer for the two documents.
	public, private http.HandlerFunc
	server          *httptest.Server
}

// newFakePeer is a well-behaved peer that publishes one Service, "api.shop".
func newFakePeer(t *testing.T, trustDomain string) *fakePeer {
	t.Helper()
	keypair, err := authn.GenerateKeypair()
	if err != nil {
		t.Fatal(err)
	}
	authority, err := ca.Generate(trustDomain)
	if err != nil {
		t.Fatal(err)
	}
	peer := &fakePeer{
		trustDomain: trustDomain,
		public: serveJSON(metadata.Public{
			ClusterUUID: uuid.NewString(), AuthnKeyPub: keypair.Pub, RootCA: authority.Root, TrustDomain: trustDomain,
		}),
		private: serveJSON(metadata.Federation{
			IngressGateways: []metadata.IngressGateway{{Address: "198.51.100.7", Port: 15443}},
			PublicServices: []metadata.PublicService{{
				Hostname: "api.shop.svc." + trustDomain, Ports: []metadata.ServicePort{{Name: "http", Port: 80, Protocol: "HTTP"}},
			}},
		}),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/metadata/"+metadata.PublicPath, func(w http.ResponseWriter, r *http.Request) { peer.public(w, r) })
	mux.HandleFunc("/metadata/"+metadata.FederationPath, func(w http.ResponseWriter, r *http.Request) { peer.private(w, r) })
	peer.server = httptest.NewTLSServer(mux)
	t.Cleanup(peer.server.Close)
	return peer
}

func serveJSON(document any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(document)
	}
}

func serveText(contentType, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = fmt.Fprint(w, text)
	}
}

// altered is a handler that answers as another does, after the change of the document.
func altered(handler http.HandlerFunc, change func(document map[string]any)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		recorder := httptest.NewRecorder()
		handler(recorder, r)
		var document map[string]any
		if err := json.Unmarshal(recorder.Body.Bytes(), &document); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		change(document)
		serveJSON(document)(w, r)
	}
}

func (p *fakePeer) endpoint() string { return p.server.URL + "/metadata/" }

func (p *fakePeer) hostname() string { return "api.shop.svc." + p.trustDomain }

func (p *fakePeer) certificate() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw}))
}

// federation is the resource for the peer.
func (p *fakePeer) federation(name string) map[string]any {
	return newFederation(name, map[string]any{
		"trustDomain": p.trustDomain, "metadataEndpoint": p.endpoint(), "metadata": map[string]any{"ca": p.certificate()},
	})
}

func newFederation(name string, spec map[string]any) map[string]any {
	return map[string]any{
		"apiVersion": "deckhouse.io/v1alpha1", "kind": "IstioFederation",
		"metadata": map[string]any{"name": name}, "spec": spec,
	}
}

// federate creates the resource, which is removed after the test.
func (c *cluster) federate(t *testing.T, federation map[string]any) {
	t.Helper()
	created, err := c.dynamic.Resource(federations).Create(context.Background(), &unstructured.Unstructured{Object: federation}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.defederate(t, created.GetName()) })
}

func (c *cluster) defederate(t *testing.T, name string) {
	t.Helper()
	err := c.dynamic.Resource(federations).Delete(context.Background(), name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Error(err)
	}
}
