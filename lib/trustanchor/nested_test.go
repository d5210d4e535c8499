package trustanchor_test

import (
	"strings"
	"testing"

	"github.com/deckhouse-mesh/istio/lib/trustanchor"
)

func TestOfTwoNestedDomainsTheOneThatNamesNoOtherRootHasIt(t *testing.T) {
	corps, devs := newRoot(t, "ECDSA P-256", nil).certificate, newRoot(t, "ECDSA P-256", nil).certificate
	dev := trustanchor.Peer{Name: "dev", TrustDomain: "dev.corp.example", RootCA: bundle(devs) + bundle(corps)} // the older
	corp := trustanchor.Peer{Name: "corp", TrustDomain: "corp.example", RootCA: bundle(corps)}
	outcome, err := trustanchor.Reconcile([]trustanchor.Peer{dev, corp}, "", "", now)
	if err != nil {
		t.Fatal(err)
	}
	if len(outcome.Anchors["corp"]) != 1 || len(outcome.Anchors["dev"]) != 1 {
		t.Errorf("corp has %d anchors, dev %d", len(outcome.Anchors["corp"]), len(outcome.Anchors["dev"]))
	}
	if outcome.Rejected["corp"] != nil || outcome.Rejected["dev"] == nil {
		t.Errorf("rejected: %v", outcome.Rejected)
	}
	for _, name := range []string{"dev", "corp"} {
		if problem := trustanchor.Nested([]trustanchor.Peer{dev, corp})[name]; problem == nil || !strings.Contains(problem.Error(), "counts for one of them alone") {
			t.Errorf("the problem of %s is %v", name, problem)
		}
	}
}

func TestOfTwoNestedDomainsTheOneThatHadTheAnchorKeepsIt(t *testing.T) {
	shared, devs, corps := newRoot(t, "ECDSA P-256", nil).certificate, newRoot(t, "ECDSA P-256", nil).certificate, newRoot(t, "ECDSA P-256", nil).certificate
	corp := trustanchor.Peer{Name: "corp", TrustDomain: "corp.example", RootCA: bundle(corps) + bundle(shared)}
	before, err := trustanchor.Reconcile([]trustanchor.Peer{corp}, "", "", now)
	if err != nil {
		t.Fatal(err)
	}
	dev := trustanchor.Peer{Name: "dev", TrustDomain: "dev.corp.example", RootCA: bundle(devs) + bundle(shared)} // the older, and now it names the root, too
	after, err := trustanchor.Reconcile([]trustanchor.Peer{dev, corp}, "", before.Stored, now)
	if err != nil {
		t.Fatal(err)
	}
	if len(after.Anchors["corp"]) != 2 || len(after.Anchors["dev"]) != 1 {
		t.Errorf("corp has %d anchors, dev %d", len(after.Anchors["corp"]), len(after.Anchors["dev"]))
	}
}

func TestDomainsBesideEachOtherShareARoot(t *testing.T) {
	shared := newRoot(t, "ECDSA P-256", nil).certificate
	peers := []trustanchor.Peer{
		{Name: "a", TrustDomain: "a.corp.example", RootCA: bundle(shared)}, {Name: "b", TrustDomain: "b.corp.example", RootCA: bundle(shared)},
	}
	if problems := trustanchor.Nested(peers); len(problems) > 0 {
		t.Error(problems)
	}
}
