// Package ca decides which certificate authority signs the identities of the
// mesh: the one a person configured, else the one in use, else a new one.
package ca

import (
	"cmp"
	"fmt"
	"time"

	"github.com/deckhouse/deckhouse/go_lib/certificate"
	"github.com/deckhouse/deckhouse/pkg/log"

	"github.com/deckhouse-mesh/istio/lib/certs"
)

const (
	// lifetime of a generated CA: ten years.
	lifetime = "87600h"
	// maxRoots of one CA. Peers accept twice as many in public metadata: room for a rotation.
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
	return Bundle{Cert: authority.Cert, Key: authority.Key}.normalized(), nil
}

// withDefaults completes a bundle whose Cert is its own root.
func (b Bundle) withDefaults() Bundle {
	b.Chain, b.Root = cmp.Or(b.Chain, b.Cert), cmp.Or(b.Root, b.Cert)
	return b
}

// normalized completes the bundle and encodes its parts in the one form that istiod reads: istiod looks at the
// first PEM block of a key alone, and crashes when that is `EC PARAMETERS`. What cannot be read stays as it is.
func (b Bundle) normalized() Bundle {
	b = b.withDefaults()
	for _, part := range []*string{&b.Cert, &b.Chain, &b.Root} {
		if certificates, err := certs.Parse(*part); err == nil {
			*part = certs.Encode(certificates...)
		}
	}
	if key, err := certs.ParseKey(b.Key); err == nil {
		if text, err := certs.EncodeKey(key); err == nil {
			b.Key = text
		}
	}
	return b
}

// Expires is when certificates of the CA cease to verify: the first end among
// the signing certificate and its chain, and the last one among its roots.
// Zero for a bundle without a certificate.
func (b Bundle) Expires() time.Time {
	b = b.withDefaults()
	var first, last time.Time
	for _, certificate := range certs.Salvage(b.Cert + "\n" + b.Chain) {
		if first.IsZero() || certificate.NotAfter.Before(first) {
			first = certificate.NotAfter
		}
	}
	for _, root := range certs.Salvage(b.Root) {
		if root.NotAfter.After(last) {
			last = root.NotAfter
		}
	}
	if !last.IsZero() && last.Before(first) {
		return last
	}
	return first
}

// Choice is the outcome of Choose.
type Choice struct {
	Bundle Bundle
	// Generated is true when the bundle is new.
	Generated bool
	// Rejected is why a configured bundle is not used; Bundle is then the one that was in use.
	Rejected error
}

// Choose picks the CA: configured if it is set and sound, else current if
// there is one, else a new one. A bad configured bundle never replaces a
// current one, and a current one is never replaced for being old: people must
// not lose a mesh to a clock.
func Choose(configured, current Bundle, clusterDomain string, now time.Time) (Choice, error) {
	var choice Choice
	if !configured.IsZero() {
		choice.Rejected = configured.CheckConfigured(now)
		if choice.Rejected == nil {
			choice.Bundle = configured.normalized()
			return choice, nil
		}
	}
	if current.Cert != "" && current.Key != "" {
		choice.Bundle = current.normalized()
		return choice, nil
	}
	var err error
	choice.Bundle, err = Generate(clusterDomain)
	choice.Generated = err == nil
	return choice, err
}
