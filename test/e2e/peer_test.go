//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/ca"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
)

// fakePeer is a peer that is not a lab cluster: a server in the fabric that says what a test makes it say.
type fakePeer struct {
	trustDomain string
	// authority signs its workloads' certificates.
	authority ca.Bundle
	// root of the certificate that its server shows.
	root *x509.Certificate
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
	now := time.Now()
	root := certtest.NewRoot("public authority of "+trustDomain, now)
	peer := &fakePeer{
		trustDomain: trustDomain, authority: authority, root: root.Certificate,
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
	peer.server = httptest.NewUnstartedServer(mux)
	_ = peer.server.Listener.Close()
	peer.server.Listener = listenInFabric(t)
	peer.server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{root.Client(now, func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		c.IPAddresses = []net.IP{net.ParseIP(os.Getenv(addressVariable))}
	})}}
	peer.server.StartTLS()
	t.Cleanup(peer.server.Close)
	return peer
}

// listenInFabric on a port that every Pod reaches.
func listenInFabric(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(os.Getenv(addressVariable), "0"))
	if err != nil {
		t.Fatal(err)
	}
	return listener
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
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.root.Raw}))
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

// identity of the one Service's Pods.
func (p *fakePeer) identity() string { return "spiffe://" + p.trustDomain + "/ns/shop/sa/api" }

// entranceName is what a fake peer's entrance calls itself in answers.
const entranceName = "entrance"

// entrance is the gateway and the Service of a fake peer at once: it terminates TLS with the certificate that a test chooses.
type entrance struct {
	mu          sync.Mutex
	certificate *tls.Certificate
	alerts      int
	// answer replaces the usual answer, and verify accepts callers' certificates; nil accepts all.
	answer http.HandlerFunc
	verify func([][]byte, [][]*x509.Certificate) error
}

// behave otherwise from now on.
func (e *entrance) behave(change func(*entrance)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(e)
}

// verifies is the verification of callers' certificates of this moment.
func (e *entrance) verifies(presented [][]byte, verified [][]*x509.Certificate) error {
	e.mu.Lock()
	verify := e.verify
	e.mu.Unlock()
	if verify == nil {
		return nil
	}
	return verify(presented, verified)
}

// answers the request in the way that was chosen; false when none was.
func (e *entrance) answers(w http.ResponseWriter, r *http.Request) bool {
	e.mu.Lock()
	answer := e.answer
	e.mu.Unlock()
	if answer != nil {
		answer(w, r)
	}
	return answer != nil
}

// show another certificate from now on.
func (e *entrance) show(certificate *tls.Certificate) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.certificate = certificate
}

func (e *entrance) shown() *tls.Certificate {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.certificate
}

// Write reads what the server logs: it counts the alerts by which callers reject its certificate.
func (e *entrance) Write(line []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if bytes.Contains(line, []byte("remote error: tls")) {
		e.alerts++
	}
	return len(line), nil
}

// rejected is how often callers have rejected its certificate.
func (e *entrance) rejected() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.alerts
}

// serveMesh has the peer's document name a gateway that really answers, and the service account that may answer.
func (p *fakePeer) serveMesh(t *testing.T) *entrance {
	t.Helper()
	opened := &entrance{certificate: forge(t, p.authority, p.identity())}
	listener := listenInFabric(t)
	server := &http.Server{ReadHeaderTimeout: prompt, ErrorLog: log.New(opened, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Each request comes by a handshake of its own.
		w.Header().Set("Connection", "close")
		if opened.answers(w, r) {
			return
		}
		caller := ""
		if uris := r.TLS.PeerCertificates[0].URIs; len(uris) > 0 {
			caller = uris[0].String()
		}
		_, _ = fmt.Fprintf(w, "Hostname=%s\nRequestHeader=X-Forwarded-Client-Cert:By=%s;URI=%s\n", entranceName, p.identity(), caller)
	})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(tls.NewListener(listener, &tls.Config{
			MinVersion: tls.VersionTLS12, ClientAuth: tls.RequireAnyClientCert, SessionTicketsDisabled: true,
			GetCertificate:        func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return opened.shown(), nil },
			VerifyPeerCertificate: opened.verifies,
		}))
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	port := listener.Addr().(*net.TCPAddr).Port
	p.private = altered(p.private, func(d map[string]any) {
		d["ingressGateways"] = []any{map[string]any{"address": os.Getenv(addressVariable), "port": port}}
		d["publicServices"].([]any)[0].(map[string]any)["serviceAccounts"] = []any{"shop/api"}
	})
	return opened
}
