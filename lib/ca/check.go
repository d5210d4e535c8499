package ca

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/deckhouse-mesh/istio/lib/certs"
)

// CheckConfigured returns everything that is wrong with a bundle of the settings at now: it is not sound (Check), or
// one of its roots is an intermediate. Such a root works within this cluster, and every peer rejects it: anyone can
// make a certificate over another's subject and key, so only the self-signed one proves whose it is.
func (b Bundle) CheckConfigured(now time.Time) error {
	problems := []error{b.Check(now)}
	parsed, _ := b.parse()
	for _, root := range parsed.roots {
		if !certs.SelfSigned(root) {
			problems = append(problems, problem("root", "%q is signed by %q, not by its own key; publish the self-signed root", root.Subject, root.Issuer))
		}
	}
	return errors.Join(problems...)
}

// Check returns everything that is wrong with the bundle at now, each problem
// beginning with the setting it concerns: key and certificate belong together,
// the certificate is a CA and in force, and it verifies up to root through chain.
func (b Bundle) Check(now time.Time) error { return b.check(now, maxRoots) }

// check is Check with another limit of roots.
func (b Bundle) check(now time.Time, limit int) error {
	parsed, problems := b.parse()
	problems = append(problems, parsed.checkRoots(limit)...)
	if b.Key == "" {
		problems = append(problems, problem("key", "is missing"))
	}
	if parsed.signer == nil {
		return errors.Join(problems...)
	}
	if b.Key != "" {
		problems = append(problems, checkKey(b.Key, parsed.signer))
	}
	problems = append(problems, checkSigner(parsed.signer, now)...)
	if err := errors.Join(problems...); err != nil {
		return err
	}
	return parsed.verify(now)
}

// parsed are the certificates of a bundle, as far as they can be read.
type parsed struct {
	// signer is nil where Cert cannot be read.
	signer       *x509.Certificate
	chain, roots []*x509.Certificate
	// ownRoot is true for a signer that stands for the root, which the bundle does not name.
	ownRoot bool
}

func (b Bundle) parse() (parsed, []error) {
	var problems []error
	read := func(setting, text string) []*x509.Certificate {
		certificates, err := certs.Parse(text)
		if err != nil {
			problems = append(problems, problem(setting, "%w", err))
		}
		return certificates
	}
	certificates := read("cert", b.Cert)
	parts := parsed{chain: certificates, roots: certificates, ownRoot: b.Root == ""}
	if len(certificates) > 0 {
		parts.signer = certificates[0]
	}
	if b.Chain != "" {
		parts.chain = read("chain", b.Chain)
	}
	if b.Root != "" {
		parts.roots = read("root", b.Root)
	}
	return parts, problems
}

func problem(setting, format string, args ...any) error {
	return fmt.Errorf("ca."+setting+": "+format, args...)
}

func isAuthority(certificate *x509.Certificate) bool {
	return certificate.BasicConstraintsValid && certificate.IsCA
}

func (p parsed) checkRoots(limit int) []error {
	var problems []error
	for index, root := range p.roots {
		judgedAsSigner := p.ownRoot && index == 0
		if !judgedAsSigner && !isAuthority(root) {
			problems = append(problems, problem("root", "%q is not a CA certificate", root.Subject))
		}
	}
	if len(p.roots) > limit {
		problems = append(problems, problem("root", "holds %d certificates, more than %d", len(p.roots), limit))
	}
	return problems
}

func checkSigner(signer *x509.Certificate, now time.Time) []error {
	var problems []error
	for _, rule := range []struct {
		broken  bool
		message string
	}{
		{!isAuthority(signer), "is not a CA certificate"},
		{isAuthority(signer) && signer.KeyUsage != 0 && signer.KeyUsage&x509.KeyUsageCertSign == 0, "may not sign certificates"},
		{now.After(signer.NotAfter), "expired at " + signer.NotAfter.UTC().Format(time.RFC3339)},
		{now.Before(signer.NotBefore), "is valid only from " + signer.NotBefore.UTC().Format(time.RFC3339)},
	} {
		if rule.broken {
			problems = append(problems, problem("cert", "%q %s", signer.Subject, rule.message))
		}
	}
	return problems
}

func checkKey(text string, signer *x509.Certificate) error {
	key, err := certs.ParseKey(text)
	if err != nil {
		return problem("key", "%w", err)
	}
	if public, ok := signer.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(key.Public()) {
		return problem("key", "does not belong to ca.cert %q", signer.Subject)
	}
	return nil
}

func (p parsed) verify(now time.Time) error {
	options := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(),
		CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	for _, root := range p.roots {
		options.Roots.AddCert(root)
	}
	for _, intermediate := range p.chain {
		options.Intermediates.AddCert(intermediate)
	}
	if _, err := p.signer.Verify(options); err != nil {
		return problem("chain", "%q does not verify up to ca.root: %w", p.signer.Subject, err)
	}
	return nil
}
