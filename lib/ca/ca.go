// Package ca decides which certificate authority signs the identities of the
// mesh: the one a person configured, else the one in use, else a new one.
package ca

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/deckhouse/deckhouse/go_lib/certificate"
	"github.com/deckhouse/deckhouse/pkg/log"
)

const (
	// lifetime of a generated CA: ten years.
	lifetime = "87600h"
	// maxRoots of one CA. Neighbours accept twice as many in public metadata: room for a rotation.
	maxRoots = 8
)

// Bundle is a certificate authority in PEM, in the terms of the setting `ca`
// and of istiod's Secret `cacerts`.
type Bundle struct {
	// Cert is the signing certificate (ca-cert.pem).
	Cert string `json:"cert"`
	// Key belongs to Cert (ca-key.pem).
	Key string `json:"key"`
	// Chain leads from Cert to Root, Cert first (cert-chain.pem).
	Chain string `json:"chain"`
	// Root are the CA's own roots (root-cert.pem). What workloads trust may be more: see State.
	Root string `json:"root"`
}

// IsZero is true for a bundle of which nothing is set.
func (b Bundle) IsZero() bool { return b == Bundle{} }

// Generate makes a self-signed CA for the mesh of clusterDomain.
func Generate(clusterDomain string) (Bundle, error) {
	authority, err := certificate.GenerateCA(log.NewNop(), "Istio CA of "+clusterDomain,
		certificate.WithGroups(clusterDomain), certificate.WithCAExpiry(lifetime))
	if err != nil {
		return Bundle{}, fmt.Errorf("generate a CA for %s: %w", clusterDomain, err)
	}
	return Bundle{Cert: authority.Cert, Key: authority.Key}.withDefaults(), nil
}

// withDefaults completes a bundle whose Cert is its own root.
func (b Bundle) withDefaults() Bundle {
	if b.Chain == "" {
		b.Chain = b.Cert
	}
	if b.Root == "" {
		b.Root = b.Cert
	}
	return b
}

// Check tells everything that is wrong with the bundle at now, each problem
// beginning with the setting it concerns: key and certificate belong together,
// the certificate is a CA and in force, and it verifies up to root through chain.
func (b Bundle) Check(now time.Time) error { return b.check(now, maxRoots) }

// check is Check with another limit of roots.
func (b Bundle) check(now time.Time, limit int) error {
	given := b
	b = b.withDefaults()
	var problems []error
	refuse := func(setting, format string, args ...any) {
		problems = append(problems, fmt.Errorf("ca."+setting+": "+format, args...))
	}

	certificates := parseAll(b.Cert, "cert", refuse)
	// Without a chain or root of its own the certificate stands for it, and has been judged.
	chain, roots := certificates, certificates
	if given.Chain != "" {
		chain = parseAll(given.Chain, "chain", refuse)
	}
	if given.Root != "" {
		roots = parseAll(given.Root, "root", refuse)
	}
	for index, root := range roots {
		if given.Root == "" && index == 0 {
			continue // the signer, judged below
		}
		if !root.BasicConstraintsValid || !root.IsCA {
			refuse("root", "%q is not a CA certificate", root.Subject)
		}
	}
	if len(roots) > limit {
		refuse("root", "holds %d certificates, more than %d", len(roots), limit)
	}
	if b.Key == "" {
		refuse("key", "is missing")
	}
	if len(certificates) == 0 {
		return errors.Join(problems...)
	}

	signer := certificates[0]
	if b.Key != "" {
		checkKey(b, signer, refuse)
	}
	switch {
	case !signer.BasicConstraintsValid || !signer.IsCA:
		refuse("cert", "%q is not a CA certificate", signer.Subject)
	case signer.KeyUsage != 0 && signer.KeyUsage&x509.KeyUsageCertSign == 0:
		refuse("cert", "%q may not sign certificates", signer.Subject)
	}
	switch {
	case now.After(signer.NotAfter):
		refuse("cert", "%q expired at %s", signer.Subject, signer.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(signer.NotBefore):
		refuse("cert", "%q is valid only from %s", signer.Subject, signer.NotBefore.UTC().Format(time.RFC3339))
	}
	if len(problems) > 0 {
		return errors.Join(problems...)
	}

	options := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(),
		CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	for _, root := range roots {
		options.Roots.AddCert(root)
	}
	for _, intermediate := range chain {
		options.Intermediates.AddCert(intermediate)
	}
	if _, err := signer.Verify(options); err != nil {
		refuse("chain", "%q does not verify up to ca.root: %w", signer.Subject, err)
	}
	return errors.Join(problems...)
}

// Expires is when certificates of the CA cease to verify: the first end among
// the signing certificate and its chain, and the last one among its roots.
// Zero for a bundle without a certificate.
func (b Bundle) Expires() time.Time {
	b = b.withDefaults()
	none := func(string, string, ...any) {}
	var first, last time.Time
	for _, certificate := range append(parseAll(b.Cert, "cert", none), parseAll(b.Chain, "chain", none)...) {
		if first.IsZero() || certificate.NotAfter.Before(first) {
			first = certificate.NotAfter
		}
	}
	for _, root := range parseAll(b.Root, "root", none) {
		if root.NotAfter.After(last) {
			last = root.NotAfter
		}
	}
	if !last.IsZero() && last.Before(first) {
		return last
	}
	return first
}

func checkKey(b Bundle, signer *x509.Certificate, refuse func(setting, format string, args ...any)) {
	if _, err := tls.X509KeyPair([]byte(b.Cert), []byte(b.Key)); err == nil {
		return
	}
	// The library's sentence for a mismatch speaks of both files; tell a broken key from a foreign one.
	block, _ := pem.Decode([]byte(b.Key))
	if block == nil || !strings.HasSuffix(block.Type, "PRIVATE KEY") {
		refuse("key", "is not a PEM private key")
		return
	}
	key, err := parsePrivateKey(block.Bytes)
	if err != nil {
		refuse("key", "cannot be parsed: %w", err)
		return
	}
	if public, ok := signer.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(key.Public()) {
		refuse("key", "does not belong to ca.cert %q", signer.Subject)
	}
}

func parsePrivateKey(der []byte) (crypto.Signer, error) {
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot sign", key)
	}
	return signer, nil
}

func parseAll(text, setting string, refuse func(setting, format string, args ...any)) []*x509.Certificate {
	var certificates []*x509.Certificate
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			refuse(setting, "holds a PEM block of type %q", block.Type)
			return nil
		}
		parsed, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			refuse(setting, "cannot be parsed: %w", err)
			return nil
		}
		certificates = append(certificates, parsed)
	}
	if len(certificates) == 0 {
		refuse(setting, "holds no PEM certificate")
	}
	return certificates
}

// Choice is the outcome of Choose.
type Choice struct {
	Bundle Bundle
	// Generated is true when the bundle is new.
	Generated bool
	// Refused tells why a configured bundle is not used; Bundle is then what was in use before.
	Refused error
}

// Choose picks the CA: configured if it is set and sound, else current if
// there is one, else a new one. A bad configured bundle never replaces a
// current one, and a current one is never replaced for being old: people must
// not lose a mesh to a clock.
func Choose(configured, current Bundle, clusterDomain string, now time.Time) (Choice, error) {
	var choice Choice
	if !configured.IsZero() {
		choice.Refused = configured.Check(now)
		if choice.Refused == nil {
			choice.Bundle = configured.withDefaults()
			return choice, nil
		}
	}
	if current.Cert != "" && current.Key != "" {
		choice.Bundle = current.withDefaults()
		return choice, nil
	}
	var err error
	choice.Bundle, err = Generate(clusterDomain)
	choice.Generated = err == nil
	return choice, err
}
