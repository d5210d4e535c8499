package clientcert

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/deckhouse-mesh/istio/lib/certs"
)

const (
	// Lifetime of an issued certificate, unless its issuer ends earlier.
	Lifetime = 7 * 24 * time.Hour
	// backdated is how far a peer's clock may be behind.
	backdated = time.Minute
)

// Issuer is the cluster's Istio certificate authority in PEM, with the fields of the values istio.internal.ca.
type Issuer struct {
	Cert  string `json:"cert"`
	Key   string `json:"key"`
	Chain string `json:"chain"`
	Root  string `json:"root"`
}

// Renew returns the certificate to use from now on: current while it is sound,
// made by issuer and younger than two thirds of its life, else a new one.
//
// An error says why there is no new one; the certificate is then current as
// long as peers still accept it, else none.
func Renew(current Certificate, issuer Issuer, now time.Time) (Certificate, error) {
	authority, err := issuer.parse()
	if err != nil {
		return remaining(current, issuer, now), fmt.Errorf("issue a client certificate: %w", err)
	}
	if authority.stillGood(current, issuer.Root, now) {
		return current, nil
	}
	issued, err := authority.issue(now)
	if err == nil {
		err = issued.Check(issuer.Root, now)
	}
	if err != nil {
		return remaining(current, issuer, now), fmt.Errorf("issue a client certificate with %q: %w", authority.certificate.Subject, err)
	}
	return issued, nil
}

// remaining is current, if it can still be used.
func remaining(current Certificate, issuer Issuer, now time.Time) Certificate {
	if current.Check(issuer.Root, now) != nil {
		return Certificate{}
	}
	return current
}

// authority is a parsed Issuer.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
	// path leads from the issuer to the root without it: which peers need besides the root.
	path []*x509.Certificate
}

func (i Issuer) parse() (*authority, error) {
	pair, err := tls.X509KeyPair([]byte(i.Cert), []byte(i.Key))
	if err != nil {
		return nil, fmt.Errorf("read the certificate authority: %w", err)
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, errors.New("read the certificate authority: its key cannot sign")
	}
	parsed := &authority{certificate: pair.Leaf, key: key}
	candidates := []*x509.Certificate{pair.Leaf}
	if i.Chain != "" {
		chain, err := certs.Parse(i.Chain)
		if err != nil {
			return nil, fmt.Errorf("read the certificate authority's chain: %w", err)
		}
		candidates = append(candidates, chain...)
	}
	for _, candidate := range candidates {
		known := slices.ContainsFunc(parsed.path, candidate.Equal)
		if !known && !bytes.Equal(candidate.RawSubject, candidate.RawIssuer) {
			parsed.path = append(parsed.path, candidate)
		}
	}
	return parsed, nil
}

// stillGood is true while there is no reason for a new certificate.
func (a *authority) stillGood(current Certificate, roots string, now time.Time) bool {
	if current.IsZero() || current.Check(roots, now) != nil {
		return false
	}
	chain, err := certs.Parse(current.Crt)
	if err != nil || chain[0].CheckSignatureFrom(a.certificate) != nil {
		return false
	}
	if !slices.EqualFunc(chain[1:], a.path, (*x509.Certificate).Equal) {
		return false
	}
	// A new one that would expire no later is no gain: the authority itself is about to expire.
	return now.Before(certs.RenewAt(chain[0].NotBefore, chain[0].NotAfter)) || !a.end(now).After(chain[0].NotAfter)
}

// end of a certificate issued now, in whole seconds as certificates have them.
func (a *authority) end(now time.Time) time.Time {
	end := now.Add(Lifetime).Truncate(time.Second)
	for _, above := range append([]*x509.Certificate{a.certificate}, a.path...) {
		if above.NotAfter.Before(end) {
			end = above.NotAfter
		}
	}
	return end
}

// issue makes a certificate with a key of its own.
//
// Its subject is CommonName and nothing else, for peers may compare all of
// it. It has no SPIFFE URI, so it has no identity in the mesh, and no other name, which
// an authority with name constraints could not certify.
func (a *authority) issue(now time.Time) (Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Certificate{}, fmt.Errorf("generate a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return Certificate{}, fmt.Errorf("generate a serial number: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)),
		Subject:      pkix.Name{CommonName: CommonName},
		NotBefore:    now.Add(-backdated).Truncate(time.Second), NotAfter: a.end(now),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return Certificate{}, fmt.Errorf("parse what was issued: %w", err)
	}
	encoded, err := certs.EncodeKey(key)
	if err != nil {
		return Certificate{}, err
	}
	return Certificate{Crt: certs.Encode(append([]*x509.Certificate{leaf}, a.path...)...), Key: encoded}, nil
}
