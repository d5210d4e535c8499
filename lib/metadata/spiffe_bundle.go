package metadata

import (
	"fmt"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// spiffeRefreshHint is how often readers of the bundle should fetch it again. It is
// the interval that SPIFFE recommends by default.
const spiffeRefreshHint = 5 * time.Minute

// SPIFFEBundle is the trust bundle (JWKS, use "x509-svid") of a trust domain
// with these roots in PEM, as the SPIFFE document "Trust Domain and Bundle"
// defines it. Roots that ParseRoots rejects at now are an error.
func SPIFFEBundle(trustDomain, roots string, now time.Time) ([]byte, error) {
	domain, err := spiffeid.TrustDomainFromString(trustDomain)
	if err != nil {
		return nil, fmt.Errorf("make the SPIFFE bundle of %q: %w", trustDomain, err)
	}
	certificates, err := ParseRoots(roots, now)
	if err != nil {
		return nil, fmt.Errorf("make the SPIFFE bundle of %q: root CA: %w", trustDomain, err)
	}
	bundle := spiffebundle.FromX509Authorities(domain, certificates)
	bundle.SetRefreshHint(spiffeRefreshHint)
	body, err := bundle.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode the SPIFFE bundle of %q: %w", trustDomain, err)
	}
	return body, nil
}
