package ca

import (
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"time"
)

// Root is a root certificate that the mesh trusts.
type Root struct {
	// Certificate is one certificate in PEM, without text around it.
	Certificate string `json:"certificate"`
	// Since is when it was in Secret cacerts first, a time to come if it is not yet; zero when that is so long ago that
	// everybody has it.
	Since time.Time `json:"since,omitzero"`
	// Retired is when it was needed last, a time to come if Secret cacerts holds a CA that needs it; zero while the CA
	// that is to sign, or the one of the settings, needs it.
	Retired time.Time `json:"retired,omitzero"`
}

// splitRoots returns the certificates of a PEM bundle, each encoded anew and
// once. Equal certificates are equal texts afterwards, and istiod, which
// compares bundles as texts, finds the former one in the new one.
func splitRoots(bundle string) []string {
	var roots []string
	for rest := []byte(bundle); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return roots
		}
		root := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: block.Bytes}))
		if block.Type == "CERTIFICATE" && !slices.Contains(roots, root) {
			roots = append(roots, root)
		}
	}
}

// Share tells whether two PEM bundles have a certificate in common.
func Share(bundle, other string) bool {
	roots := splitRoots(other)
	return slices.ContainsFunc(splitRoots(bundle), func(root string) bool { return slices.Contains(roots, root) })
}

// joinRoots is the PEM bundle of roots in their order.
func joinRoots(roots []Root) string {
	var bundle strings.Builder
	for _, root := range roots {
		bundle.WriteString(root.Certificate)
	}
	return bundle.String()
}

// expired is true for a certificate whose time is over at now, and for what is no certificate.
func (r Root) expired(now time.Time) bool {
	block, _ := pem.Decode([]byte(r.Certificate))
	if block == nil {
		return true
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	return err != nil || now.After(certificate.NotAfter)
}
