package ca

import (
	"slices"
	"strings"
	"time"

	"github.com/deckhouse-mesh/istio/lib/certs"
)

// Root is a root certificate that the mesh trusts.
type Root struct {
	// Certificate is one certificate in PEM, without text around it.
	Certificate string `json:"certificate"`
	// Since is when it was in Secret cacerts first, a time to come if it is not yet; zero when that is so long ago that
	// everybody has it.
	Since time.Time `json:"since,omitzero"`
	// HandedOut is since when istiod has been seen to hand it out without a break; zero while it does not, and when Since is.
	HandedOut time.Time `json:"handedOut,omitzero"`
	// Retired is when it was needed last, a time to come if Secret cacerts holds a CA that needs it; zero while the CA
	// that is to sign, or the one of the settings, needs it.
	Retired time.Time `json:"retired,omitzero"`
}

// splitRoots returns the certificates of a PEM bundle, each encoded in one form and
// once. Equal certificates are equal texts afterwards, and istiod, which
// compares bundles as texts, finds the former one in the new one.
func splitRoots(bundle string) []string {
	var roots []string
	for _, root := range certs.Salvage(bundle) {
		roots = append(roots, certs.Encode(root))
	}
	return roots
}

// Share is true for two PEM bundles that have a certificate in common.
func Share(bundle, other string) bool {
	roots := splitRoots(other)
	return slices.ContainsFunc(splitRoots(bundle), func(root string) bool { return slices.Contains(roots, root) })
}

// bundleOf is the PEM bundle of roots in their order.
func bundleOf(roots []Root) string {
	var bundle strings.Builder
	for _, root := range roots {
		bundle.WriteString(root.Certificate)
	}
	return bundle.String()
}

// expired is true for a certificate that has expired at now, and for text that is no certificate.
func (r Root) expired(now time.Time) bool {
	certificates := certs.Salvage(r.Certificate)
	return len(certificates) == 0 || now.After(certificates[0].NotAfter)
}

// since is when it was in Secret cacerts first, for knownSince.
func (r Root) since() time.Time { return r.Since }

// handedOutSince is since when istiod hands it out, for knownSince.
func (r Root) handedOutSince() time.Time {
	if r.HandedOut.IsZero() && !r.Since.IsZero() {
		return notYet
	}
	return r.HandedOut
}

// confirmHandedOut dates a root that istiod hands out, or does not any more. A clock that
// was set back starts the time again: else a date to come would last as long as the clock was wrong.
func (r *Root) confirmHandedOut(handedOut bool, now time.Time) {
	switch {
	case !handedOut, r.Since.IsZero(), r.Since.Equal(notYet):
		r.HandedOut = time.Time{}
	case r.HandedOut.IsZero(), r.HandedOut.After(now):
		r.HandedOut = now
	}
}

// end is until when a retired root is trusted.
func (r Root) end(request Request, now time.Time) time.Time {
	if request != "" || r.expired(now) {
		return r.Retired.Add(settling)
	}
	return r.Retired.Add(Overlap)
}
