package trustanchor_test

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/test/support/certtest"
)

const domain = "cluster-b.local"

var now = time.Date(2026, 11, 22, 12, 0, 10, 0, time.UTC)

// authority is a CA of a peer.
type authority struct {
	*testing.T
	certificate *x509.Certificate
	key         crypto.Signer
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
	key := certtest.NewKeyOf(kind)
	return authority{t, certtest.Sign(template, template, key.Public(), key), key}
}

// intermediate makes a CA below a; Istio's own example of one has a DNS name.
func (a authority) intermediate() authority {
	a.Helper()
	template := caTemplate("Intermediate")
	template.DNSNames = []string{"istiod.istio-system.svc"}
	key := certtest.NewKeyOf("ECDSA P-256")
	return authority{a.T, certtest.Sign(template, a.certificate, key.Public(), a.key), key}
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
	key := certtest.NewKeyOf("ECDSA P-256")
	return certtest.Sign(template, a.certificate, key.Public(), a.key)
}

// bundle is certificates in PEM.
func bundle(certificates ...*x509.Certificate) string {
	var text strings.Builder
	for _, certificate := range certificates {
		text.WriteString(certtest.PEM(certificate.Raw))
	}
	return text.String()
}
