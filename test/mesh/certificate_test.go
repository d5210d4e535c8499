package mesh

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	security "istio.io/api/security/v1alpha1"

	"github.com/deckhouse-mesh/istio/test/support/certtest"
)

const (
	istiodName = "istiod-v1x31.d8-istio.svc"
	identity   = "spiffe://cluster.local/ns/shop/sa/web"
)

func newRoot() certtest.Authority { return certtest.NewRoot("root", time.Now()) }

// fakeCA is istiod's certificate service: it signs the identity of the one token it knows.
type fakeCA struct {
	security.UnimplementedIstioCertificateServiceServer
	certtest.Authority
	withoutRoot bool
	clusters    chan string
}

func (f *fakeCA) CreateCertificate(ctx context.Context, request *security.IstioCertificateRequest) (*security.IstioCertificateResponse, error) {
	sent, _ := metadata.FromIncomingContext(ctx)
	if !slices.Equal(sent.Get("authorization"), []string{"Bearer good"}) {
		return nil, status.Error(codes.Unauthenticated, "request authenticate failure")
	}
	for _, id := range sent.Get(clusterIDHeader) {
		f.clusters <- id
	}
	block, _ := pem.Decode([]byte(request.GetCsr()))
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	leaf := f.Sign(csr.PublicKey, now, certtest.Identity(identity), certtest.Until(now.Add(time.Hour)),
		certtest.For(x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth))
	response := &security.IstioCertificateResponse{CertChain: []string{certtest.PEM(leaf.Raw), f.PEM()}}
	if f.withoutRoot {
		response.CertChain = response.CertChain[:1]
	}
	return response, nil
}

func startCA(t *testing.T) (*fakeCA, string) {
	t.Helper()
	fake := &fakeCA{Authority: newRoot(), clusters: make(chan string, 1)}
	certificate := fake.Server(time.Now(), istiodName)
	server := grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&certificate)))
	security.RegisterIstioCertificateServiceServer(server, fake)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return fake, listener.Addr().String()
}

func TestACertificateIsTheCallersAndChainsToTheRoot(t *testing.T) {
	fake, address := startCA(t)
	certificate, err := request(t, Secure{Address: address, ServerName: istiodName, Roots: fake.Pool(), Token: "good"})
	if err != nil {
		t.Fatal(err)
	}
	if proven, err := certificate.Verify(fake.Pool(), time.Now()); err != nil || !slices.Equal(proven, []string{identity}) {
		t.Errorf("it proves %v (%v), want %s", proven, err, identity)
	}
	if _, err := certificate.Verify(newRoot().Pool(), time.Now()); err == nil {
		t.Error("it verifies under another root, too")
	}
	if _, err := certificate.Verify(fake.Pool(), time.Now().Add(2*time.Hour)); err == nil {
		t.Error("it is valid for ever")
	}
	if !certificate.Root.Equal(fake.Certificate) {
		t.Errorf("its root is %s", certificate.Root.Subject)
	}
	if id := <-fake.clusters; id != "one" {
		t.Errorf("the request names cluster %q, want one", id)
	}
}

func TestIstiodIssuesNoCertificate(t *testing.T) {
	fake, address := startCA(t)
	good := Secure{Address: address, ServerName: istiodName, Roots: fake.Pool(), Token: "good"}
	for name, test := range map[string]struct {
		change func(*Secure)
		code   codes.Code
	}{
		"for a wrong token":                    {func(to *Secure) { to.Token = "bad" }, codes.Unauthenticated},
		"without a token":                      {func(to *Secure) { to.Token = "" }, codes.Unauthenticated},
		"by an istiod of another name":         {func(to *Secure) { to.ServerName = "istiod-v1x30.d8-istio.svc" }, codes.Unavailable},
		"by an istiod with another root":       {func(to *Secure) { to.Roots = newRoot().Pool() }, codes.Unavailable},
		"when it does not come with its roots": {func(*Secure) { fake.withoutRoot = true }, codes.OK},
	} {
		t.Run(name, func(t *testing.T) {
			to := good
			test.change(&to)
			t.Cleanup(func() { fake.withoutRoot = false })
			_, err := request(t, to)
			if err == nil {
				t.Fatal("it is")
			}
			var rejected interface{ GRPCStatus() *status.Status }
			if got := errors.As(err, &rejected); got != (test.code != codes.OK) || got && rejected.GRPCStatus().Code() != test.code {
				t.Errorf("the error is %v, want code %s", err, test.code)
			}
		})
	}
}

func request(t *testing.T, to Secure) (*Certificate, error) {
	t.Helper()
	connection, err := DialSecure(to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	return SignCSR(ctx, connection, Request{Identity: identity, ClusterID: "one", Validity: time.Hour})
}
