package mesh

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	security "istio.io/api/security/v1alpha1"
)

// clusterIDHeader names to istiod which cluster the caller's token is from.
const clusterIDHeader = "clusterid"

// Certificate is what a workload proves its identity with.
type Certificate struct {
	Key crypto.Signer
	// Leaf is the workload's, Intermediates lead from it towards Root.
	Leaf          *x509.Certificate
	Intermediates []*x509.Certificate
	// Root is the last of the chain, the CA's own as istiod sees it.
	Root *x509.Certificate
}

// Request for a certificate.
type Request struct {
	// Identity to ask for, such as spiffe://cluster.local/ns/shop/sa/default; istiod decides by the caller's token alone.
	Identity string
	// ClusterID is what istiod knows the caller's cluster by; empty is its own.
	ClusterID string
	Validity  time.Duration
}

// SignCSR makes a key and has istiod sign a certificate for it, as the agent in
// a sidecar does, over a connection by DialSecure. The error keeps gRPC's code:
// Unauthenticated for a token that istiod does not accept.
func SignCSR(ctx context.Context, connection grpc.ClientConnInterface, wanted Request) (*Certificate, error) {
	identity, err := url.Parse(wanted.Identity)
	if err != nil {
		return nil, fmt.Errorf("request a certificate: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key for %s: %w", wanted.Identity, err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{URIs: []*url.URL{identity}}, key)
	if err != nil {
		return nil, fmt.Errorf("request a certificate for %s: %w", wanted.Identity, err)
	}
	if wanted.ClusterID != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, clusterIDHeader, wanted.ClusterID)
	}
	response, err := security.NewIstioCertificateServiceClient(connection).CreateCertificate(ctx, &security.IstioCertificateRequest{
		Csr:              string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})),
		ValidityDuration: int64(wanted.Validity / time.Second),
	})
	if err != nil {
		return nil, fmt.Errorf("have istiod sign a certificate for %s: %w", wanted.Identity, err)
	}
	certificate, err := readChain(response.GetCertChain())
	if err != nil {
		return nil, fmt.Errorf("read the certificate that istiod signed for %s: %w", wanted.Identity, err)
	}
	if !key.PublicKey.Equal(certificate.Leaf.PublicKey) {
		return nil, fmt.Errorf("the certificate that istiod signed for %s is for another key", wanted.Identity)
	}
	certificate.Key = key
	return certificate, nil
}

func readChain(chain []string) (*Certificate, error) {
	certificates, err := parseCertificates(chain)
	if err != nil {
		return nil, err
	}
	if len(certificates) < 2 {
		return nil, errors.New("it does not come with its root")
	}
	last := len(certificates) - 1
	return &Certificate{Leaf: certificates[0], Intermediates: certificates[1:last], Root: certificates[last]}, nil
}

// parseCertificates reads texts of one PEM certificate or more each.
func parseCertificates(texts []string) ([]*x509.Certificate, error) {
	var certificates []*x509.Certificate
	for rest := []byte(strings.Join(texts, "\n")); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return certificates, nil
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certificates = append(certificates, certificate)
	}
}

// Verify that the certificate chains to one of the roots, and return the identities it proves.
func (c *Certificate) Verify(roots *x509.CertPool, now time.Time) ([]string, error) {
	intermediates := x509.NewCertPool()
	for _, certificate := range c.Intermediates {
		intermediates.AddCert(certificate)
	}
	if _, err := c.Leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}); err != nil {
		return nil, err
	}
	var proven []string
	for _, uri := range c.Leaf.URIs {
		proven = append(proven, uri.String())
	}
	return proven, nil
}

// TLS is the certificate as a side of a handshake presents it.
func (c *Certificate) TLS() tls.Certificate {
	presented := tls.Certificate{PrivateKey: c.Key, Leaf: c.Leaf, Certificate: [][]byte{c.Leaf.Raw}}
	for _, certificate := range c.Intermediates {
		presented.Certificate = append(presented.Certificate, certificate.Raw)
	}
	return presented
}
