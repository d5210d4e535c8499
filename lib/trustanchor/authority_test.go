package trustanchor_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/certs"
)

const domain = "cluster-b.local"

var now = time.Date(2026, 11, 22, 12, 0, 10, 0, time.UTC)

// authority is a CA of a peer.
type authority struct {
	*testing.T
	certificate *x509.Certificate
	key         crypto.Signer
}

var keys = map[string]func() (crypto.Signer, error){
	"RSA 2048":    func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) },
	"ECDSA P-256": func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) },
	"ECDSA P-384": func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) },
	"Ed25519": func() (crypto.Signer, error) {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	},
}

func newKey(t *testing.T, kind string) crypto.Signer {
	t.Helper()
	key, err := keys[kind]()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func caTemplate(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name, Organization: []string{"Peer"}}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:  x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(10 * 365 * 24 * time.Hour),
	}
}

// newRoot makes a self-signed CA; change may be nil.
func newRoot(t *testing.T, kind string, change func(*x509.Certificate)) authority {
	t.Helper()
	template := caTemplate("Root of " + kind)
	if change != nil {
		change(template)
	}
	key := newKey(t, kind)
	return authority{t, sign(t, template, template, key.Public(), key), key}
}

func sign(t *testing.T, template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	if template.SerialNumber == nil {
		serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
		if err != nil {
			t.Fatal(err)
		}
		template.SerialNumber = serial
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// intermediate makes a CA below a; Istio's own example of one has a DNS name.
func (a authority) intermediate() authority {
	a.Helper()
	template := caTemplate("Intermediate")
	template.DNSNames = []string{"istiod.istio-system.svc"}
	key := newKey(a.T, "ECDSA P-256")
	return authority{a.T, sign(a.T, template, a.certificate, key.Public(), a.key), key}
}

// leaf issues a workload's certificate for the names, which are URIs, or DNS names and IP addresses.
func (a authority) leaf(names ...string) *x509.Certificate {
	a.Helper()
	template := &x509.Certificate{
		Subject:   pkix.Name{Organization: []string{"workload"}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, name := range names {
		switch ip := net.ParseIP(name); {
		case strings.Contains(name, "://"):
			parsed, err := url.Parse(name)
			if err != nil {
				a.Fatal(err)
			}
			template.URIs = append(template.URIs, parsed)
		case ip != nil:
			template.IPAddresses = append(template.IPAddresses, ip)
		default:
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	key := newKey(a.T, "ECDSA P-256")
	return sign(a.T, template, a.certificate, key.Public(), a.key)
}

// bundle is certificates in PEM.
func bundle(certificates ...*x509.Certificate) string { return certs.Encode(certificates...) }
