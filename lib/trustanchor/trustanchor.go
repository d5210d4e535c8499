// Package trustanchor bounds the trust in a peer's root certificates. Istio
// gives every proxy all roots for all trust domains, so a peer's root as it is
// would be believed about everybody's identities. Instead of it, proxies get an
// anchor: a certificate over the same subject and public key that carries a
// critical X.509 name constraint, the peer's own trust domain.
//
// An anchor is issued by a key that is made for it, used once and dropped.
// Only its place among the trusted certificates makes it valid, so it
// ends with the trust: a certificate issued by this cluster's own CA would go
// on being valid for whoever presents it. Verifiers must therefore accept a
// chain that ends in a trusted certificate which is not self-signed ("partial
// chain"), as Go's crypto/x509 and Envoy do.
//
// There is one anchor for one root, even if several peers name it: verifiers such as Envoy's
// use the first certificate of the right subject and key, and do not try
// another when its constraint rejects the leaf. So two peers that name the same
// root share an anchor for both of their domains, and over this cluster's own
// root, which is trusted anyway, there is none (claims.go). Otherwise a peer could name
// another cluster's root, which is no secret, and that cluster's identities would be rejected.
//
// Identities are URIs, and those are constrained. But Envoy, as Istio configures
// it, compares the identity it expects with names of every type, so that a DNS
// name or an e-mail address "spiffe://…" would pass for one. DNS names are
// constrained to the one that Istio's own example of a plugged-in CA puts into
// intermediates, "istiod.istio-system.svc", and nothing below it: "spiffe://…/x.svc"
// ends in ".svc" too, and begins as a policy's "…/*" wants it. E-mail addresses are
// constrained to a host that does not exist. A leaf without any name still
// verifies; it has no identity.
package trustanchor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"time"

	"github.com/deckhouse-mesh/istio/lib/certs"
)

const (
	// MaxLifetime of an anchor. It is renewed when two thirds have passed.
	MaxLifetime = 365 * 24 * time.Hour
	// skew is how far an anchor is dated back for proxies whose clocks are behind.
	skew = time.Hour

	issuerName = "Bounded trust anchor, issued once"

	// authorityName is what intermediates may be called.
	authorityName = "istiod.istio-system.svc"
	// noMailbox is one that nobody has (RFC 2606, section 2). A whole mailbox permits
	// that one alone; a host would permit every mailbox of it (RFC 5280, section 4.2.1.10),
	// and what stands before the @ may look like an identity.
	noMailbox = "nobody@invalid"
)

// Issue makes the anchor for a root, which Check accepts for each of the trust
// domains of the peers that it belongs to: valid from now on, not longer than
// the root and MaxLifetime.
func Issue(root *x509.Certificate, trustDomains []string, now time.Time) (*x509.Certificate, error) {
	// The throw-away key: it is not stored, so it signs nothing else.
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the key for the trust anchor of %q: %w", trustDomains, err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("make the serial number for the trust anchor of %q: %w", trustDomains, err)
	}
	template := wanted(root, trustDomains)
	template.SerialNumber = serial
	template.NotBefore = slices.MaxFunc([]time.Time{root.NotBefore, now.Add(-skew).UTC().Truncate(time.Second)}, time.Time.Compare)
	template.NotAfter = slices.MinFunc([]time.Time{root.NotAfter, now.Add(MaxLifetime).UTC().Truncate(time.Second)}, time.Time.Compare)
	issuer := &x509.Certificate{Subject: pkix.Name{CommonName: issuerName}, SubjectKeyId: serial.FillBytes(make([]byte, 20))}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, root.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("issue the trust anchor of %q over root %q: %w", trustDomains, root.Subject, err)
	}
	anchor, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read back the trust anchor of %q over root %q: %w", trustDomains, root.Subject, err)
	}
	return anchor, nil
}

// wanted is what an anchor says apart from its serial number and its times.
// The anchor retains the restrictions that the root has.
func wanted(root *x509.Certificate, trustDomains []string) *x509.Certificate {
	below := make([]string, 0, len(trustDomains)+len(root.ExcludedURIDomains))
	for _, trustDomain := range trustDomains {
		below = append(below, "."+trustDomain)
	}
	return &x509.Certificate{
		RawSubject:            root.RawSubject,
		SubjectKeyId:          root.SubjectKeyId,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLen:            root.MaxPathLen,
		MaxPathLenZero:        root.MaxPathLenZero,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage:           root.ExtKeyUsage,

		PermittedDNSDomainsCritical: true, // the whole extension, not DNS names alone
		PermittedURIDomains:         trustDomains,
		// RFC 5280 reads the line above as these very hosts; Go reads it as the hosts and all below them.
		ExcludedURIDomains: append(below, root.ExcludedURIDomains...),
		// Not the names that the root permits: a peer has chosen them.
		PermittedDNSDomains:     []string{authorityName},
		ExcludedDNSDomains:      append([]string{"." + authorityName}, root.ExcludedDNSDomains...),
		PermittedIPRanges:       root.PermittedIPRanges,
		ExcludedIPRanges:        root.ExcludedIPRanges,
		PermittedEmailAddresses: []string{noMailbox},
		ExcludedEmailAddresses:  root.ExcludedEmailAddresses,
	}
}

// Fits is true for a retained anchor that is the one that Issue would make, its serial
// number and times aside, and that needs no renewal yet.
func Fits(anchor, root *x509.Certificate, trustDomains []string, now time.Time) bool {
	if identityOf(anchor) != identityOf(root) || !sameTerms(anchor, root, trustDomains) {
		return false
	}
	if anchor.NotBefore.Before(root.NotBefore) || anchor.NotAfter.After(root.NotAfter) || anchor.NotBefore.After(now) {
		return false
	}
	if anchor.NotAfter.Sub(anchor.NotBefore) > MaxLifetime+skew {
		return false
	}
	return now.Before(RenewAt(anchor, root))
}

// sameTerms compares everything that Issue takes over from the root, and the bounds that it sets.
func sameTerms(anchor, root *x509.Certificate, trustDomains []string) bool {
	found, expected := termsOf(anchor), termsOf(wanted(root, trustDomains))
	if len(expected.SubjectKeyId) == 0 {
		found.SubjectKeyId = expected.SubjectKeyId // x509.CreateCertificate has made one up
	}
	return reflect.DeepEqual(found, expected)
}

// termsOf is what binds an anchor, apart from its subject, key and times.
func termsOf(certificate *x509.Certificate) x509.Certificate {
	return x509.Certificate{
		SubjectKeyId:                certificate.SubjectKeyId,
		IsCA:                        certificate.IsCA,
		BasicConstraintsValid:       certificate.BasicConstraintsValid,
		MaxPathLen:                  certificate.MaxPathLen,
		MaxPathLenZero:              certificate.MaxPathLenZero,
		KeyUsage:                    certificate.KeyUsage,
		ExtKeyUsage:                 certificate.ExtKeyUsage,
		UnknownExtKeyUsage:          certificate.UnknownExtKeyUsage,
		UnhandledCriticalExtensions: certificate.UnhandledCriticalExtensions,
		PermittedDNSDomainsCritical: certificate.PermittedDNSDomainsCritical,
		PermittedDNSDomains:         certificate.PermittedDNSDomains,
		ExcludedDNSDomains:          certificate.ExcludedDNSDomains,
		PermittedURIDomains:         certificate.PermittedURIDomains,
		ExcludedURIDomains:          certificate.ExcludedURIDomains,
		PermittedIPRanges:           certificate.PermittedIPRanges,
		ExcludedIPRanges:            certificate.ExcludedIPRanges,
		PermittedEmailAddresses:     certificate.PermittedEmailAddresses,
		ExcludedEmailAddresses:      certificate.ExcludedEmailAddresses,
	}
}

// RenewAt is when an anchor is due for renewal. One that ends with its root cannot be
// prolonged and stays to its end.
func RenewAt(anchor, root *x509.Certificate) time.Time {
	if !anchor.NotAfter.Before(root.NotAfter) {
		return anchor.NotAfter
	}
	return certs.RenewAt(anchor.NotBefore, anchor.NotAfter)
}
