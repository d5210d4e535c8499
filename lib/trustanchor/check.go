package trustanchor

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	minRSABits = 2048
	// maxRSABits is what Go's TLS accepts; larger keys would only cost verifiers time.
	maxRSABits = 8192
)

// curves are those that Envoy (BoringSSL) verifies.
var curves = []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()}

// Check returns why no anchor can be made over a peer's root: it is no CA, not in
// force at now, weak, or has extensions that verifiers would not understand.
func Check(root *x509.Certificate, trustDomain string, now time.Time) error {
	var problems []error
	reject := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	switch {
	case !root.BasicConstraintsValid || !root.IsCA:
		reject("it is not a CA certificate")
	case root.KeyUsage != 0 && root.KeyUsage&x509.KeyUsageCertSign == 0:
		reject("it may not sign certificates")
	}
	switch {
	case now.After(root.NotAfter):
		reject("it expired at %s", root.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(root.NotBefore):
		reject("it is valid only from %s", root.NotBefore.UTC().Format(time.RFC3339))
	}
	if err := checkStrength(root); err != nil {
		problems = append(problems, err)
	} else if err := checkOrigin(root); err != nil {
		problems = append(problems, err)
	}
	if len(root.UnhandledCriticalExtensions) > 0 {
		reject("it has critical extensions that are not understood here: %v", root.UnhandledCriticalExtensions)
	}
	if len(root.UnknownExtKeyUsage) > 0 {
		// An anchor without them would allow more than the root does; with them it is as large as the peer likes.
		reject("it has extended key usages that are not understood here: %d, the first is %v", len(root.UnknownExtKeyUsage), root.UnknownExtKeyUsage[0])
	}
	if !allowsURI(root, trustDomain) {
		reject("its own name constraints do not allow identities of %q", trustDomain)
	}
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("root certificate %.120q is rejected: %w", root.Subject, errors.Join(problems...))
}

func checkStrength(root *x509.Certificate) error {
	switch root.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return fmt.Errorf("it is signed with %s; use SHA-256 or better", root.SignatureAlgorithm)
	case x509.UnknownSignatureAlgorithm:
		return errors.New("its signature algorithm is not known here; use RSA, ECDSA or Ed25519 with SHA-256 or better")
	default: // strong; the key says the rest
	}
	switch key := root.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return fmt.Errorf("its RSA key has %d bits; use %d to %d", bits, minRSABits, maxRSABits)
		}
	case *ecdsa.PublicKey:
		if !slices.Contains(curves, key.Curve) {
			return fmt.Errorf("its ECDSA key is on curve %s; use P-256, P-384 or P-521", key.Curve.Params().Name)
		}
	case ed25519.PublicKey:
	default:
		return fmt.Errorf("its key is of type %s; use RSA, ECDSA or Ed25519", root.PublicKeyAlgorithm)
	}
	return nil
}

// allowsURI asks the root's own constraints, as RFC 5280, section 4.2.1.10, reads them.
func allowsURI(root *x509.Certificate, trustDomain string) bool {
	matches := func(constraint string) bool {
		if strings.HasPrefix(constraint, ".") {
			return strings.HasSuffix(strings.ToLower(trustDomain), strings.ToLower(constraint))
		}
		return strings.EqualFold(trustDomain, constraint)
	}
	if slices.ContainsFunc(root.ExcludedURIDomains, matches) {
		return false
	}
	return len(root.PermittedURIDomains) == 0 || slices.ContainsFunc(root.PermittedURIDomains, matches)
}
