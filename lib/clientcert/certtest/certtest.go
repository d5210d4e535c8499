// Package certtest makes authorities and certificates, sound ones and broken
// ones, for tests of who is let in.
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
	"strings"
	"testing"
	"time"
)

// Authority is a certificate with a key that signs others.
type Authority struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
	// Chain is this authority's certificate and those above it, the root left out; empty for a root.
	Chain []*x509.Certificate
}

// Change alters a certificate before it is signed.
type Change func(*x509.Certificate)

// NewRoot makes a self-signed authority with an ECDSA key, valid from a year before now for ten years.
func NewRoot(tb testing.TB, name string, now time.Time, changes ...Change) Authority {
	tb.Helper()
	return NewRootWithKey(tb, name, ecdsaKey(tb), now, changes...)
}

// NewRootWithKey is NewRoot with that key.
func NewRootWithKey(tb testing.TB, name string, key crypto.Signer, now time.Time, changes ...Change) Authority {
	tb.Helper()
	template := authorityTemplate(tb, name, key, now)
	for _, change := range changes {
		change(template)
	}
	return Authority{Certificate: sign(tb, template, template, key.Public(), key), Key: key}
}

// Intermediate makes an authority below a.
func (a Authority) Intermediate(tb testing.TB, name string, now time.Time, changes ...Change) Authority {
	tb.Helper()
	key := ecdsaKey(tb)
	template := authorityTemplate(tb, name, key, now)
	for _, change := range changes {
		change(template)
	}
	certificate := sign(tb, template, a.Certificate, key.Public(), a.Key)
	return Authority{Certificate: certificate, Key: key, Chain: append([]*x509.Certificate{certificate}, a.Chain...)}
}

// Client issues a cluster's client certificate, valid for a week from an hour
// before now, as changes make it. Its chain goes up to the root without it.
func (a Authority) Client(tb testing.TB, now time.Time, changes ...Change) tls.Certificate {
	tb.Helper()
	key := ecdsaKey(tb)
	template := &x509.Certificate{
		SerialNumber: serial(tb), Subject: pkix.Name{CommonName: "deckhouse"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(7 * 24 * time.Hour),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, change := range changes {
		change(template)
	}
	leaf := sign(tb, template, a.Certificate, key.Public(), a.Key)
	pair := tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
	for _, above := range a.Chain {
		pair.Certificate = append(pair.Certificate, above.Raw)
	}
	return pair
}

// PEM is the authority's certificate.
func (a Authority) PEM() string { return PEM(a.Certificate.Raw) }

// KeyPEM is the authority's key, PKCS#8.
func (a Authority) KeyPEM(tb testing.TB) string {
	tb.Helper()
	return KeyPEM(tb, a.Key)
}

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
func KeyPEM(tb testing.TB, key crypto.PrivateKey) string {
	tb.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(tb, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// Parsed is the chain of pair.
func Parsed(tb testing.TB, pair tls.Certificate) []*x509.Certificate {
	tb.Helper()
	var chain []*x509.Certificate
	for _, der := range pair.Certificate {
		certificate, err := x509.ParseCertificate(der)
		must(tb, err)
		chain = append(chain, certificate)
	}
	return chain
}

// Keys are one of each kind that an Istio authority may have, by name.
func Keys(tb testing.TB) map[string]crypto.Signer {
	tb.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(tb, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(tb, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	must(tb, err)
	return map[string]crypto.Signer{"RSA": rsaKey, "ECDSA P-256": ecdsaKey(tb), "ECDSA P-384": p384, "Ed25519": edKey}
}

func authorityTemplate(tb testing.TB, name string, key crypto.Signer, now time.Time) *x509.Certificate {
	tb.Helper()
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	must(tb, err)
	sum := sha256.Sum256(public)
	return &x509.Certificate{
		SerialNumber: serial(tb), Subject: pkix.Name{CommonName: name}, SubjectKeyId: sum[:20],
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(9, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

func sign(tb testing.TB, template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	must(tb, err)
	certificate, err := x509.ParseCertificate(der)
	must(tb, err)
	return certificate
}

func ecdsaKey(tb testing.TB) crypto.Signer {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(tb, err)
	return key
}

func serial(tb testing.TB) *big.Int {
	tb.Helper()
	number, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(tb, err)
	return number.Add(number, big.NewInt(1))
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
