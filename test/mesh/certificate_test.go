package mesh

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/url"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	security "istio.io/api/security/v1alpha1"
)

const (
	istiodName = "istiod-v1x31.d8-istio.svc"
	identity   = "spiffe://cluster.local/ns/shop/sa/web"
)

// authority is a root that signs what it is asked to.
type authority struct {
	root *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true,
		NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{root, key}
}

func (a authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.root)
	return pool
}

func (a authority) sign(publicKey any, template *x509.Certificate) ([]byte, error) {
	template.SerialNumber, template.NotAfter = big.NewInt(2), time.Now().Add(time.Hour)
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	return x509.CreateCertificate(rand.Reader, template, a.root, publicKey, a.key)
}

// fakeCA is istiod's certificate service: it signs the identity of the one token it knows.
type fakeCA struct {
	security.UnimplementedIstioCertificateServiceServer
	authority
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
	granted, err := url.Parse(identity)
	if err != nil {
		return nil, err
	}
	leaf, err := f.sign(csr.PublicKey, &x509.Certificate{URIs: []*url.URL{granted}})
	if err != nil {
		return nil, err
	}
	response := &security.IstioCertificateResponse{CertChain: []string{encode(leaf), encode(f.root.Raw)}}
	if f.withoutRoot {
		response.CertChain = response.CertChain[:1]
	}
	return response, nil
}

func encode(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func startCA(t *testing.T) (*fakeCA, string) {
	t.Helper()
	fake := &fakeCA{authority: newAuthority(t), clusters: make(chan string, 1)}
	der, err := fake.sign(fake.key.Public(), &x509.Certificate{DNSNames: []string{istiodName}})
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&tls.Certificate{Certificate: [][]byte{der}, PrivateKey: fake.key})))
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
	certificate, err := request(t, Secure{Address: address, ServerName: istiodName, Roots: fake.pool(), Token: "good"})
	if err != nil {
		t.Fatal(err)
	}
	if proven, err := certificate.Verify(fake.pool(), time.Now()); err != nil || !slices.Equal(proven, []string{identity}) {
		t.Errorf("it proves %v (%v), want %s", proven, err, identity)
	}
	if _, err := certificate.Verify(newAuthority(t).pool(), time.Now()); err == nil {
		t.Error("it chains to another root, too")
	}
	if _, err := certificate.Verify(fake.pool(), time.Now().Add(2*time.Hour)); err == nil {
		t.Error("it is valid for ever")
	}
	if !certificate.Root.Equal(fake.root) {
		t.Errorf("its root is %s", certificate.Root.Subject)
	}
	if id := <-fake.clusters; id != "one" {
		t.Errorf("istiod is told that the caller is from cluster %q", id)
	}
}

func TestACertificateIsNotGiven(t *testing.T) {
	fake, address := startCA(t)
	good := Secure{Address: address, ServerName: istiodName, Roots: fake.pool(), Token: "good"}
	for name, test := range map[string]struct {
		change func(*Secure)
		code   codes.Code
	}{
		"for a wrong token":                    {func(to *Secure) { to.Token = "bad" }, codes.Unauthenticated},
		"without a token":                      {func(to *Secure) { to.Token = "" }, codes.Unauthenticated},
		"by an istiod of another name":         {func(to *Secure) { to.ServerName = "istiod-v1x30.d8-istio.svc" }, codes.Unavailable},
		"by an istiod that the roots disown":   {func(to *Secure) { to.Roots = newAuthority(t).pool() }, codes.Unavailable},
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
			var refused interface{ GRPCStatus() *status.Status }
			if got := errors.As(err, &refused); got != (test.code != codes.OK) || got && refused.GRPCStatus().Code() != test.code {
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
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return SignCSR(ctx, connection, Request{Identity: identity, ClusterID: "one", Validity: time.Hour})
}
