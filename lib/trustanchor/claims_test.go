package trustanchor_test

import (
	"crypto/x509"
	"strings"
	"testing"

	"github.com/deckhouse-mesh/istio/lib/trustanchor"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
)

// anchored are the anchors that stand beside own for the peers, all of them once, in either order.
func anchored(t *testing.T, own *x509.Certificate, peers ...trustanchor.Peer) (trustanchor.Outcome, [][]*x509.Certificate) {
	t.Helper()
	outcome, err := trustanchor.Reconcile(peers, bundle(own), "", now)
	if err != nil {
		t.Fatal(err)
	}
	forward, backward := []*x509.Certificate{own}, []*x509.Certificate{}
	seen := map[string]bool{bundle(own): true}
	for _, peer := range peers {
		for _, anchor := range outcome.Anchors[peer.Name] {
			if !seen[anchor] {
				forward = append(forward, parse(t, anchor)...)
			}
			seen[anchor] = true
		}
	}
	for index := range forward {
		backward = append(backward, forward[len(forward)-1-index])
	}
	return outcome, [][]*x509.Certificate{forward, backward}
}

// TestNamingAnotherClustersRootDoesNotHarmThatCluster: roots are no secrets. Whatever order
// the certificates stand in, this cluster's leaves and the honest peer's verify,
// and the liar's stranger verifies for nobody else's domain.
func TestNamingAnotherClustersRootDoesNotHarmThatCluster(t *testing.T) {
	own, b, c := newRoot(t, "ECDSA P-256", nil), newRoot(t, "ECDSA P-256", nil), newRoot(t, "ECDSA P-256", nil)
	honestB := trustanchor.Peer{Name: "b", TrustDomain: domain, RootCA: bundle(b.certificate)}
	named := func(roots ...*x509.Certificate) trustanchor.Peer {
		return trustanchor.Peer{Name: "c", TrustDomain: "cluster-c.local", RootCA: bundle(roots...)}
	}
	for name, test := range map[string]struct {
		peers []trustanchor.Peer
		// rejected is true when no root that c names gets an anchor.
		rejected bool
	}{
		"ours":                         {[]trustanchor.Peer{honestB, named(own.certificate)}, false},
		"the third peer's":             {[]trustanchor.Peer{honestB, named(b.certificate)}, false},
		"the third peer's, and before": {[]trustanchor.Peer{named(b.certificate), honestB}, false},
		"ours and its own":             {[]trustanchor.Peer{honestB, named(own.certificate, c.certificate)}, false},
		"one with the name and key identifier of ours":               {[]trustanchor.Peer{honestB, named(impostor(t, own.certificate))}, true},
		"one with the name and key identifier of the third peer's":   {[]trustanchor.Peer{named(impostor(t, b.certificate)), honestB}, true},
		"one over our key that our key has not signed":               {[]trustanchor.Peer{honestB, named(forged(t, own.certificate, c))}, true},
		"one over the third peer's key that its key has not signed":  {[]trustanchor.Peer{named(forged(t, b.certificate, c)), honestB}, true},
		"one with the name of ours and a key of its own":             {[]trustanchor.Peer{honestB, named(namesake(t, own.certificate))}, false},
		"one with the name of the third peer's and a key of its own": {[]trustanchor.Peer{named(namesake(t, b.certificate)), honestB}, false},
	} {
		t.Run(name, func(t *testing.T) {
			outcome, orders := anchored(t, own.certificate, test.peers...)
			if rejected := len(outcome.Anchors["c"]) == 0; rejected != test.rejected || rejected && outcome.Rejected["c"] == nil {
				t.Errorf("anchors %d, rejected %v", len(outcome.Anchors["c"]), outcome.Rejected["c"])
			}
			if len(outcome.Anchors["b"]) != 1 || outcome.Rejected["b"] != nil {
				t.Errorf("b: %d anchors, %v", len(outcome.Anchors["b"]), outcome.Rejected["b"])
			}
			for _, trusted := range orders {
				for tool, verify := range verifiers {
					for whose, leaf := range map[string]*x509.Certificate{"ours": own.leaf(ours), "b's": b.leaf(honest)} {
						if err := verify(t, leaf, nil, trusted); err != nil {
							t.Errorf("%s rejects an honest leaf, %s: %v", tool, whose, err)
						}
					}
					for whose, leaf := range map[string]*x509.Certificate{"ours": c.leaf(ours), "b's": c.leaf(honest), "ours, by b": b.leaf(ours)} {
						if verify(t, leaf, nil, trusted) == nil {
							t.Errorf("%s accepts a leaf for a domain that is not its issuer's: %s", tool, whose)
						}
					}
				}
			}
		})
	}
}

// impostor goes by the name and the key identifier of another root, with a key of its own.
func impostor(t *testing.T, other *x509.Certificate) *x509.Certificate {
	t.Helper()
	return newRoot(t, "ECDSA P-256", func(template *x509.Certificate) {
		template.Subject, template.SubjectKeyId = other.Subject, other.SubjectKeyId
	}).certificate
}

// namesake goes by the name of another root.
func namesake(t *testing.T, other *x509.Certificate) *x509.Certificate {
	t.Helper()
	return newRoot(t, "ECDSA P-256", func(template *x509.Certificate) { template.Subject = other.Subject }).certificate
}

// forged says something about another root's key that its owner never said.
func forged(t *testing.T, other *x509.Certificate, by authority) *x509.Certificate {
	t.Helper()
	template := caTemplate("")
	template.Subject, template.SubjectKeyId = other.Subject, other.SubjectKeyId
	template.MaxPathLenZero = true
	return certtest.Sign(template, &x509.Certificate{Subject: other.Subject}, other.PublicKey, by.key)
}

func TestARootThatPeersShareCountsForTheDomainsOfAllOfThem(t *testing.T) {
	own, shared := newRoot(t, "ECDSA P-256", nil), newRoot(t, "RSA", nil)
	b := trustanchor.Peer{Name: "b", TrustDomain: domain, RootCA: bundle(shared.certificate)}
	c := trustanchor.Peer{Name: "c", TrustDomain: "cluster-c.local", RootCA: bundle(shared.certificate)}
	outcome, orders := anchored(t, own.certificate, b, c)
	if outcome.Issued != 1 || len(outcome.Rejected) > 0 {
		t.Fatalf("%d issued, rejected %v", outcome.Issued, outcome.Rejected)
	}
	for _, trusted := range orders {
		for tool, verify := range verifiers {
			for _, id := range []string{honest, third} {
				if err := verify(t, shared.leaf(id), nil, trusted); err != nil {
					t.Errorf("%s rejects %s: %v", tool, id, err)
				}
			}
			if verify(t, shared.leaf(ours), nil, trusted) == nil {
				t.Errorf("%s accepts a leaf for our domain", tool)
			}
		}
	}
	alone, err := trustanchor.Reconcile([]trustanchor.Peer{b}, bundle(own.certificate), outcome.Stored, now)
	if err != nil || alone.Issued != 1 {
		t.Fatalf("%d issued when one of the two has gone, %v", alone.Issued, err)
	}
	for tool, verify := range verifiers {
		if verify(t, shared.leaf(third), nil, parse(t, alone.Anchors["b"][0])) == nil {
			t.Errorf("%s still accepts the one that has gone", tool)
		}
	}
}

// TestADomainWithinAnotherCannotShareItsRoot: the bounds of one would be the other's loss.
func TestADomainWithinAnotherCannotShareItsRoot(t *testing.T) {
	own, b := newRoot(t, "ECDSA P-256", nil), newRoot(t, "ECDSA P-256", nil)
	for _, below := range []string{"x." + domain, "local"} {
		outcome, orders := anchored(t, own.certificate,
			trustanchor.Peer{Name: "b", TrustDomain: domain, RootCA: bundle(b.certificate)},
			trustanchor.Peer{Name: "c", TrustDomain: below, RootCA: bundle(b.certificate)})
		if problem := outcome.Rejected["c"]; problem == nil || !strings.Contains(problem.Error(), domain) || len(outcome.Anchors["c"]) > 0 {
			t.Errorf("%s: rejected %v", below, problem)
		}
		for tool, verify := range verifiers {
			if err := verify(t, b.leaf(honest), nil, orders[0]); err != nil {
				t.Errorf("%s rejects the honest leaf: %v", tool, err)
			}
		}
	}
}
