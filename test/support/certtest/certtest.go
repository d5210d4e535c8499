// Package certtest makes authorities and certificates, valid and broken ones, for
// tests. Its functions panic when they fail: then the machine has no randomness,
// or the test asked for a certificate that X.509 cannot express.
package certtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Change alters a certificate before it is signed.
type Change func(*x509.Certificate)

// Authority is a certificate with a key that signs others.
type Authority struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
	// Chain is this authority's certificate and those above it, without the root; empty for a root.
	Chain []*x509.Certificate
}

// NewRoot makes a self-signed authority with an ECDSA key, valid from a year before now for ten years.
func NewRoot(name string, now time.Time, changes ...Change) Authority {
	return NewRootWithKey(name, NewKey(), now, changes...)
}

// NewRootWithKey is NewRoot with that key.
func NewRootWithKey(name string, key crypto.Signer, now time.Time, changes ...Change) Authority {
	template := changed(authorityTemplate(name, key, now), changes)
	return Authority{Certificate: Sign(template, template, key.Public(), key), Key: key}
}

// Load makes an Authority of PEM.
func Load(certificate, key string) Authority {
	pair := must(tls.X509KeyPair([]byte(certificate), []byte(key)))
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		panic("certtest: the key cannot sign")
	}
	return Authority{Certificate: must(x509.ParseCertificate(pair.Certificate[0])), Key: signer}
}

// Intermediate makes an authority below a.
func (a Authority) Intermediate(name string, now time.Time, changes ...Change) Authority {
	key := NewKey()
	template := changed(authorityTemplate(name, key, now), changes)
	certificate := Sign(template, a.Certificate, key.Public(), a.Key)
	return Authority{Certificate: certificate, Key: key, Chain: append([]*x509.Certificate{certificate}, a.Chain...)}
}

// Leaf issues a certificate, valid for a week from an hour before now, with the
// chain up to the root without it. Changes say whose it is and what it is for.
func (a Authority) Leaf(now time.Time, changes ...Change) tls.Certificate {
	key := NewKey()
	leaf := a.Sign(key.Public(), now, changes...)
	pair := tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
	for _, above := range a.Chain {
		pair.Certificate = append(pair.Certificate, above.Raw)
	}
	return pair
}

// Sign issues a certificate as Leaf does, for the owner of a key that the test has.
func (a Authority) Sign(public crypto.PublicKey, now time.Time, changes ...Change) *x509.Certificate {
	template := &x509.Certificate{
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(7 * 24 * time.Hour),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	return Sign(changed(template, changes), a.Certificate, public, a.Key)
}

// Client issues the client certificate that a cluster shows to its peers, as changes make it.
func (a Authority) Client(now time.Time, changes ...Change) tls.Certificate {
	return a.Leaf(now, append([]Change{Named("deckhouse"), For(x509.ExtKeyUsageClientAuth)}, changes...)...)
}

// Server issues the certificate of a server at the hosts: IP addresses or DNS names.
func (a Authority) Server(now time.Time, hosts ...string) tls.Certificate {
	return a.Leaf(now, Named(hosts[0]), For(x509.ExtKeyUsageServerAuth), func(certificate *x509.Certificate) {
		for _, host := range hosts {
			if address := net.ParseIP(host); address != nil {
				certificate.IPAddresses = append(certificate.IPAddresses, address)
			} else {
				certificate.DNSNames = append(certificate.DNSNames, host)
			}
		}
	})
}

// Named sets the common name.
func Named(name string) Change {
	return func(certificate *x509.Certificate) { certificate.Subject.CommonName = name }
}

// For adds extended key usages.
func For(usages ...x509.ExtKeyUsage) Change {
	return func(certificate *x509.Certificate) {
		certificate.ExtKeyUsage = append(certificate.ExtKeyUsage, usages...)
	}
}

// Until sets when the certificate expires.
func Until(end time.Time) Change {
	return func(certificate *x509.Certificate) { certificate.NotAfter = end }
}

// Identity adds a URI, such as a SPIFFE ID.
func Identity(uri string) Change {
	parsed := must(url.Parse(uri))
	return func(certificate *x509.Certificate) { certificate.URIs = append(certificate.URIs, parsed) }
}

// Pool contains the authority's certificate only.
func (a Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Certificate)
	return pool
}

// PEM is the authority's certificate.
func (a Authority) PEM() string { return PEM(a.Certificate.Raw) }

// KeyPEM is the authority's key, PKCS#8.
func (a Authority) KeyPEM() string { return KeyPEM(a.Key) }

// ChainPEM is Chain.
func (a Authority) ChainPEM() string {
	var text strings.Builder
	for _, certificate := range a.Chain {
		text.WriteString(PEM(certificate.Raw))
	}
	return text.String()
}

// PEM encodes certificates.
func PEM(certificates ...[]byte) string {
	var text strings.Builder
	for _, der := range certificates {
		text.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	return text.String()
}

// KeyPEM encodes key, PKCS#8.
func KeyPEM(key crypto.PrivateKey) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))}))
}

// WritePair writes pair as tls.crt and tls.key into dir.
func WritePair(dir string, pair tls.Certificate) error {
	if err := os.WriteFile(filepath.Join(dir, "tls.crt"), []byte(PEM(pair.Certificate...)), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "tls.key"), []byte(KeyPEM(pair.PrivateKey)), 0o600)
}

// Parsed is the chain of pair.
func Parsed(pair tls.Certificate) []*x509.Certificate {
	var chain []*x509.Certificate
	for _, der := range pair.Certificate {
		chain = append(chain, must(x509.ParseCertificate(der)))
	}
	return chain
}

// NewKey makes an ECDSA key.
func NewKey() crypto.Signer { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

// kinds of keys that an Istio authority may have.
var kinds = map[string]func() crypto.Signer{
	"RSA":         func() crypto.Signer { return must(rsa.GenerateKey(rand.Reader, 2048)) },
	"ECDSA P-256": NewKey,
	"ECDSA P-384": func() crypto.Signer { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) },
	"Ed25519": func() crypto.Signer {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return must(key, err)
	},
}

// NewKeyOf makes a key of a kind that Keys has.
func NewKeyOf(kind string) crypto.Signer { return kinds[kind]() }

// Keys are one of each kind that an Istio authority may have, by name.
func Keys() map[string]crypto.Signer {
	keys := map[string]crypto.Signer{}
	for kind, newKey := range kinds {
		keys[kind] = newKey()
	}
	return keys
}

func authorityTemplate(name string, key crypto.Signer, now time.Time) *x509.Certificate {
	sum := sha256.Sum256(must(x509.MarshalPKIXPublicKey(key.Public())))
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, SubjectKeyId: sum[:20],
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(9, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

func changed(template *x509.Certificate, changes []Change) *x509.Certificate {
	for _, change := range changes {
		change(template)
	}
	return template
}

// Sign signs the template as it is, with a serial number when it has none: for
// certificates that no authority would issue.
func Sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	if template.SerialNumber == nil {
		template.SerialNumber = serial()
	}
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, parent, public, key))))
}

func serial() *big.Int {
	number := must(rand.Int(rand.Reader, big.NewInt(1<<62)))
	return number.Add(number, big.NewInt(1))
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
