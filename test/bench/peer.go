package main

import (
	"crypto/ed25519"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/ca"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
)

// addressVariable holds an address of the fabric that every Pod reaches. `lab exec` sets it.
const addressVariable = "LAB_ADDRESS"

// fakePeer is a peer whose document this process writes and serves as a
// metadata-exporter does: prepared, with an ETag, held on request.
type fakePeer struct {
	name, trustDomain, uuid string
	key                     ed25519.PrivateKey
	server                  *httptest.Server
	publicDocument          metadata.Public
	public                  served

	mu       sync.Mutex
	private  served
	services []metadata.PublicService
}

// served is one version of a document.
type served struct {
	body       []byte
	etag       string
	superseded chan struct{}
}

func newServed(document any) (served, error) {
	body, err := json.Marshal(document)
	if err != nil {
		return served{}, fmt.Errorf("encode a document: %w", err)
	}
	return served{body, metadata.ETag(body), make(chan struct{})}, nil
}

func newFakePeer(name string, services int) (*fakePeer, error) {
	keypair, err := authn.GenerateKeypair()
	if err != nil {
		return nil, err
	}
	peer := &fakePeer{name: name, trustDomain: name + ".example", uuid: uuid.NewString()}
	if peer.key, err = authn.ParsePrivateKey(keypair.Priv); err != nil {
		return nil, err
	}
	authority, err := ca.Generate(peer.trustDomain)
	if err != nil {
		return nil, err
	}
	peer.publicDocument = metadata.Public{
		ClusterUUID: peer.uuid, AuthnKeyPub: keypair.Pub, RootCA: authority.Root, TrustDomain: peer.trustDomain,
	}
	if peer.public, err = newServed(peer.publicDocument); err != nil {
		return nil, err
	}
	for index := range services {
		peer.services = append(peer.services, peer.service(fmt.Sprintf("api-%05d", index)))
	}
	if peer.private, err = peer.prepare(); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/metadata/"+metadata.PublicPath, func(w http.ResponseWriter, r *http.Request) {
		serve(w, r, func() served { return peer.public })
	})
	mux.HandleFunc("/metadata/"+metadata.FederationPath, func(w http.ResponseWriter, r *http.Request) { serve(w, r, peer.current) })
	return peer, peer.listen(mux)
}

// listen where the cluster's Pods reach the peer.
func (p *fakePeer) listen(handler http.Handler) error {
	address := os.Getenv(addressVariable)
	listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		return fmt.Errorf("listen for %s at the fabric's address (%s): %w", p.name, addressVariable, err)
	}
	p.server = httptest.NewUnstartedServer(handler)
	_ = p.server.Listener.Close()
	p.server.Listener = listener
	p.server.EnableHTTP2 = true
	p.server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certtest.NewRoot("bench", time.Now()).Server(time.Now(), address)}}
	p.server.StartTLS()
	return nil
}

// close ends held answers, too.
func (p *fakePeer) close() {
	p.server.CloseClientConnections()
	p.server.Close()
}

func (p *fakePeer) service(name string) metadata.PublicService {
	return metadata.PublicService{
		Hostname: p.hostname(name), ServiceAccounts: []string{"shop/" + name},
		Ports: []metadata.ServicePort{{Name: "http-web", Port: 80, Protocol: "HTTP"}, {Name: "grpc-api", Port: 9000, Protocol: "GRPC"}},
	}
}

func (p *fakePeer) hostname(service string) string { return service + ".shop.svc." + p.trustDomain }

func (p *fakePeer) prepare() (served, error) {
	return newServed(metadata.Federation{
		IngressGateways: []metadata.IngressGateway{{Address: "198.51.100.7", Port: 15443}}, PublicServices: p.services,
	})
}

// publish one more Service. The returned function makes the prepared document
// the current one: that is when an exporter would have it.
func (p *fakePeer) publish(name string) (show func(), err error) {
	p.services = append(p.services, p.service(name))
	next, err := p.prepare()
	if err != nil {
		return nil, err
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		close(p.private.superseded)
		p.private = next
	}, nil
}

func (p *fakePeer) current() served {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.private
}

func serve(w http.ResponseWriter, r *http.Request, current func() served) {
	document := current()
	if seconds, wait := strings.CutPrefix(r.Header.Get("Prefer"), "wait="); wait && r.Header.Get("If-None-Match") == document.etag {
		w.Header().Set("Preference-Applied", "wait="+seconds)
		number, _ := strconv.Atoi(seconds)
		timer := time.NewTimer(time.Duration(number) * time.Second)
		defer timer.Stop()
		select {
		case <-document.superseded:
			document = current()
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	w.Header().Set("ETag", document.etag)
	if r.Header.Get("If-None-Match") == document.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(document.body)))
	_, _ = w.Write(document.body)
}

// federation is the resource of the peer.
func (p *fakePeer) federation() map[string]any {
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.TLS.Certificates[0].Certificate[0]})
	return map[string]any{
		"apiVersion": "deckhouse.io/v1alpha1", "kind": "IstioFederation", "metadata": map[string]any{"name": p.name},
		"spec": map[string]any{
			"trustDomain": p.trustDomain, "metadataEndpoint": p.server.URL + "/metadata/",
			"metadata": map[string]any{"ca": string(certificate)},
		},
	}
}
