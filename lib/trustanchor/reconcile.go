package trustanchor

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/deckhouse-mesh/istio/lib/certs"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// Peer has roots for which anchors are to be made.
type Peer struct {
	// Name of the IstioFederation.
	Name        string
	TrustDomain string
	// RootCA is the peer's PEM bundle.
	RootCA string
}

// Outcome is the anchors for all peers.
type Outcome struct {
	// Anchors by Peer.Name: one PEM certificate an entry, in a stable order.
	Anchors map[string][]string
	// Stored is every anchor in one PEM bundle, for the next call.
	Stored string
	// Issued counts the anchors that are new.
	Issued int
	// Rejected says by Peer.Name which of its roots get no anchor, and why.
	Rejected map[string]error
}

// Reconcile makes the anchors that peers, oldest first, want beside own, the PEM
// bundle of this cluster's roots. The stored anchors of the last call stay
// while they fit: an anchor changes only when the root, the trust domains
// or time demand it. An anchor of a peer that is no longer there is not among
// them any more.
//
// A root that several peers name has one anchor for all their domains; one that
// is this cluster's own stands for itself, since it is trusted as it is.
func Reconcile(peers []Peer, own, stored string, now time.Time) (Outcome, error) {
	outcome := Outcome{Anchors: map[string][]string{}, Rejected: map[string]error{}}
	known := claims{}
	known.own(certs.Salvage(own)) // hook ca judges them
	claimed := make([][]*x509.Certificate, len(peers))
	for index, peer := range peers {
		roots, problem := Usable(peer.RootCA, peer.TrustDomain, now)
		outcome.reject(peer.Name, problem)
		for _, root := range roots {
			known.keepLonger(root)
		}
		outcome.Anchors[peer.Name], claimed[index] = []string{}, roots
	}
	anchors := certs.Salvage(stored)
	for _, each := range byRight(peers, claimed, anchors) {
		outcome.reject(each.peer.Name, known.add(each.root, each.peer, now))
	}
	return outcome, outcome.issue(known, anchors, now)
}

// wish of a peer for an anchor over a root.
type wish struct {
	root *x509.Certificate
	peer Peer
	// rank is lower for who has the better right to the root.
	rank int
}

// byRight orders the wishes of peers, of which claimed has the roots. Of two whose
// trust domains lie in each other, one can have a root: the one that names no
// other, for it would have nothing left; else the one that has its anchor
// already; else the older.
func byRight(peers []Peer, claimed [][]*x509.Certificate, anchors []*x509.Certificate) []wish {
	var wishes []wish
	for index, peer := range peers {
		for _, root := range claimed[index] {
			rank := 2
			switch {
			case len(claimed[index]) == 1:
				rank = 0
			case anchored(anchors, root, peer.TrustDomain):
				rank = 1
			}
			wishes = append(wishes, wish{root, peer, rank})
		}
	}
	slices.SortStableFunc(wishes, func(a, b wish) int { return cmp.Compare(a.rank, b.rank) })
	return wishes
}

// anchored is true when one of the anchors is made from the root, for the trust domain.
func anchored(anchors []*x509.Certificate, root *x509.Certificate, trustDomain string) bool {
	return slices.ContainsFunc(anchors, func(anchor *x509.Certificate) bool {
		return identityOf(anchor) == identityOf(root) && slices.Contains(anchor.PermittedURIDomains, trustDomain)
	})
}

// Nested says by Peer.Name which roots two peers name whose trust domains lie in
// each other: such a root counts for one of them alone.
func Nested(peers []Peer) map[string]error {
	named := map[string][]Peer{}
	subjects := map[string]*x509.Certificate{}
	for _, peer := range peers {
		for _, root := range certs.Salvage(peer.RootCA) {
			named[identityOf(root)] = append(named[identityOf(root)], peer)
			subjects[identityOf(root)] = root
		}
	}
	problems := map[string]error{}
	for _, identity := range slices.Sorted(maps.Keys(named)) {
		for _, peer := range named[identity] {
			for _, other := range named[identity] {
				if nested(peer.TrustDomain, other.TrustDomain) {
					problems[peer.Name] = errors.Join(problems[peer.Name], fmt.Errorf(
						"root certificate %.120q is also that of trust domain %q, and one of the two domains lies in the other: it counts for one of them alone",
						subjects[identity].Subject, other.TrustDomain))
				}
			}
		}
	}
	return problems
}

// nested is true when one of two domains lies in the other.
func nested(a, b string) bool { return strings.HasSuffix(a, "."+b) || strings.HasSuffix(b, "."+a) }

func (o *Outcome) reject(peer string, problem error) {
	if problem != nil {
		o.Rejected[peer] = errors.Join(o.Rejected[peer], problem)
	}
}

// issue fills in the anchors for what is claimed, in a stable order.
func (o *Outcome) issue(claimed claims, stored []*x509.Certificate, now time.Time) error {
	var all []string
	for _, identity := range slices.Sorted(maps.Keys(claimed)) {
		claim := claimed[identity]
		if len(claim.peers) == 0 {
			continue
		}
		anchor := claim.root
		if !claim.own {
			if anchor = find(stored, claim.root, claim.trustDomains, now); anchor == nil {
				var err error
				if anchor, err = Issue(claim.root, claim.trustDomains, now); err != nil {
					return err
				}
				o.Issued++
			}
			all = append(all, certs.Encode(anchor))
		}
		for _, peer := range claim.peers {
			o.Anchors[peer] = append(o.Anchors[peer], certs.Encode(anchor))
		}
	}
	slices.Sort(all)
	o.Stored = strings.Join(all, "")
	return nil
}

// Usable returns the roots of a PEM bundle that an anchor can be made over, in
// a stable order, and what is wrong with the others. A root that is there twice
// with one subject and key, renewed, counts once, with its longest life.
func Usable(bundle, trustDomain string, now time.Time) ([]*x509.Certificate, error) {
	parsed, err := metadata.ParseRoots(bundle, now)
	if err != nil {
		return nil, fmt.Errorf("root certificates of %q: %w", trustDomain, err)
	}
	var (
		usable   []*x509.Certificate
		problems []string
	)
	for _, root := range parsed {
		if err := Check(root, trustDomain, now); err != nil {
			problems = append(problems, err.Error())
		} else {
			usable = append(usable, root)
		}
	}
	slices.SortFunc(usable, func(a, b *x509.Certificate) int {
		return cmp.Or(bytes.Compare(a.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo), bytes.Compare(a.RawSubject, b.RawSubject),
			b.NotAfter.Compare(a.NotAfter), bytes.Compare(a.Raw, b.Raw))
	})
	usable = slices.CompactFunc(usable, func(a, b *x509.Certificate) bool { return identityOf(a) == identityOf(b) })
	if len(problems) > 0 {
		return usable, errors.New(strings.ReplaceAll(strings.Join(problems, "; "), "\n", ", "))
	}
	return usable, nil
}

func find(known []*x509.Certificate, root *x509.Certificate, trustDomains []string, now time.Time) *x509.Certificate {
	var best *x509.Certificate
	for _, anchor := range known {
		if Fits(anchor, root, trustDomains, now) && (best == nil || anchor.NotAfter.After(best.NotAfter)) {
			best = anchor
		}
	}
	return best
}
