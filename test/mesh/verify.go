package mesh

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// VerifyPeer judges the chain that the other side presents as Envoy does: it
// must lead to one of the roots, which need not be self-signed, and carry one
// of the identities as any of its subject alternative names. Istio asks for
// them without saying of which type, and Envoy then takes a DNS name or an
// e-mail address for one, too. The result is what the peer has proven: its
// URIs.
func VerifyPeer(presented []*x509.Certificate, roots *x509.CertPool, identities []string, now time.Time) ([]string, error) {
	if len(presented) == 0 {
		return nil, errors.New("the peer presents no certificate")
	}
	certificate := Certificate{Leaf: presented[0], Intermediates: presented[1:]}
	proven, err := certificate.Verify(roots, now)
	if err != nil {
		return nil, fmt.Errorf("the peer's certificate does not verify: %w", err)
	}
	names := slices.Concat(proven, certificate.Leaf.DNSNames, certificate.Leaf.EmailAddresses)
	if len(identities) > 0 && !slices.ContainsFunc(names, func(name string) bool { return demanded(name, identities) }) {
		return nil, fmt.Errorf("the peer is %v, which is none of %v", names, identities)
	}
	return proven, nil
}

func demanded(name string, identities []string) bool {
	return slices.ContainsFunc(identities, func(identity string) bool {
		if beginning, any := strings.CutSuffix(identity, "*"); any {
			return strings.HasPrefix(name, beginning)
		}
		return name == identity
	})
}
