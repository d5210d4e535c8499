package trustanchor

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"time"
)

// claim is one root and the peers that name it: certificates with one subject
// and key, which verifiers do not distinguish.
type claim struct {
	root *x509.Certificate
	// own is true for a root of this cluster.
	own bool
	// trustDomains of the peers, none of them below another; sorted.
	trustDomains []string
	// peers are the names of those whose trust domain is among them.
	peers []string
}

// claims are the roots by subject and key.
type claims map[string]*claim

func identityOf(root *x509.Certificate) string {
	return string(root.RawSubjectPublicKeyInfo) + "\x00" + string(root.RawSubject)
}

// own makes roots those of this cluster.
func (c claims) own(roots []*x509.Certificate) {
	for _, root := range roots {
		c.keepLonger(root).own = true
	}
}

// keepLonger is the claim for root; of several versions of it the one that lives longest stands.
func (c claims) keepLonger(root *x509.Certificate) *claim {
	known := c[identityOf(root)]
	switch {
	case known == nil:
		known = &claim{root: root}
		c[identityOf(root)] = known
	case !known.own && longer(root, known.root):
		known.root = root
	}
	return known
}

func longer(a, b *x509.Certificate) bool {
	if a.NotAfter.Equal(b.NotAfter) {
		return bytes.Compare(a.Raw, b.Raw) > 0
	}
	return a.NotAfter.After(b.NotAfter)
}

// add lets the peer have the root for its trust domain, too, unless that would
// change for which domains the root counts of those who had it first.
func (c claims) add(root *x509.Certificate, peer Peer, now time.Time) error {
	known := c[identityOf(root)]
	if !known.own {
		if err := Check(known.root, peer.TrustDomain, now); err != nil {
			return err
		}
		for _, other := range known.trustDomains {
			if nested(peer.TrustDomain, other) {
				return fmt.Errorf("root certificate %.120q is rejected: it is also that of trust domain %q, and one of the two domains lies in the other", root.Subject, other)
			}
		}
	}
	if !slices.Contains(known.trustDomains, peer.TrustDomain) {
		known.trustDomains = append(known.trustDomains, peer.TrustDomain)
		slices.Sort(known.trustDomains)
	}
	known.peers = append(known.peers, peer.Name)
	return nil
}
