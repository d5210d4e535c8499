package discovery

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// ReasonIdentityChanged means that a peer whose endpoint's certificate is not verified shows
// another identity than the one it was known by.
const ReasonIdentityChanged = "IdentityChanged"

// Fingerprint is what a person confirms a peer's identity by. It is a digest of its
// clusterUUID, the key of its tokens, and its root certificates in any order.
func Fingerprint(public *metadata.Public, now time.Time) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n%s\n", identity(public.ClusterUUID), strings.TrimSpace(public.AuthnKeyPub))
	for _, root := range slices.Sorted(maps.Keys(rootsOf(public, now))) {
		fmt.Fprintf(sum, "%s\n", root)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// checkPin is why another identity is not accepted, or nil. An identity is trusted
// on first use where the person has switched off the verification of the
// endpoint's certificate, and pinned from then on; elsewhere TLS proves which
// cluster answers, and a peer may change its keys as it likes.
func (p *poll) checkPin(offered *metadata.Public) error {
	if !p.resource.PeerSpec().Metadata.InsecureSkipVerify || p.known == nil {
		return nil
	}
	changes := identityChanges(p.known, offered, p.Now)
	if len(changes) == 0 {
		return nil
	}
	fingerprint := Fingerprint(offered, p.Now)
	if p.resource.GetAnnotations()[v1alpha1.AcceptIdentityAnnotation] == fingerprint { // a person has confirmed it
		return nil
	}
	return reject(ReasonIdentityChanged,
		"the peer shows another identity, and with spec.metadata.insecureSkipVerify nothing proves that it is the same peer: %s. "+
			"What was learned before stays in force. Compare with the peer's administrators; if it is genuine: kubectl annotate %s %s --overwrite %s=%s",
		strings.Join(changes, "; "), strings.ToLower(p.resource.PeerKind()), p.resource.GetName(), v1alpha1.AcceptIdentityAnnotation, fingerprint)
}

// identityChanges lists how two identities differ. A root that has expired is part of neither.
func identityChanges(known, offered *metadata.Public, now time.Time) []string {
	var changes []string
	if identity(known.ClusterUUID) != identity(offered.ClusterUUID) {
		changes = append(changes, fmt.Sprintf("clusterUUID %s instead of %s", offered.ClusterUUID, known.ClusterUUID))
	}
	if strings.TrimSpace(known.AuthnKeyPub) != strings.TrimSpace(offered.AuthnKeyPub) {
		changes = append(changes, "another authnKeyPub")
	}
	before, after := rootsOf(known, now), rootsOf(offered, now)
	if added := without(after, before); added != "" {
		changes = append(changes, "new in rootCA: "+added)
	}
	if missing := without(before, after); missing != "" {
		changes = append(changes, "missing from rootCA: "+missing)
	}
	return changes
}

// rootsOf maps the SHA-256 of each root in force to its subject.
func rootsOf(public *metadata.Public, now time.Time) map[string]string {
	parsed, err := metadata.ParseRoots(public.RootCA, now)
	if err != nil {
		return nil // none is in force any more
	}
	roots := make(map[string]string, len(parsed))
	for _, root := range parsed {
		roots[digest(root)] = root.Subject.String()
	}
	return roots
}

func digest(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.Raw)
	return hex.EncodeToString(sum[:])
}

// without names what is in roots and not in others; of many, the first.
func without(roots, others map[string]string) string {
	var names []string
	for _, sum := range slices.Sorted(maps.Keys(roots)) {
		if _, both := others[sum]; !both {
			names = append(names, fmt.Sprintf("%.60q (SHA-256 %s…)", roots[sum], sum[:16]))
		}
	}
	if len(names) > 1 {
		return fmt.Sprintf("%s and %d more", names[0], len(names)-1)
	}
	return strings.Join(names, "")
}
