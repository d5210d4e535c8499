package discovery

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/metadata"
)

func TestAPeersIdentityChangesAFewTimesAtOnceAndThenRarely(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var changes []metav1.Time
	admitted := map[time.Duration]bool{}
	for at := time.Duration(0); at <= 30*time.Minute; at += time.Second {
		next, _, ok := admitChange(changes, now.Add(at))
		if ok {
			admitted[at] = true
		}
		changes = next
	}
	if len(admitted) != 4+5 {
		t.Errorf("%d changes within half an hour of changes each second: %v", len(admitted), admitted)
	}
	for _, at := range []time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second, 303 * time.Second, 603 * time.Second} {
		if !admitted[at] {
			t.Errorf("none after %s: %v", at, admitted)
		}
	}
	if _, _, ok := admitChange(changes, now.Add(30*time.Minute+time.Second)); ok {
		t.Error("one at once after another")
	}
	_, next, _ := admitChange(changes, now.Add(30*time.Minute+time.Second))
	if !next.After(now.Add(30 * time.Minute)) {
		t.Errorf("the next is accepted at %s", next)
	}
	for range identityBurst {
		var ok bool
		if changes, _, ok = admitChange(changes, now.Add(2*time.Hour)); !ok {
			t.Fatal("no burst after a quiet time")
		}
	}
}

func TestAClockThatWasSetBackForgetsChangesOfTheFuture(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	future := metav1.NewTime(now.Add(time.Hour))
	if _, _, ok := admitChange([]metav1.Time{future, future, future, future}, now); !ok {
		t.Error("nothing is accepted for an hour")
	}
}

func TestOnlyAdditionsToAnIdentityCount(t *testing.T) {
	const one, two = "-----BEGIN CERTIFICATE-----\nMQ==\n-----END CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\nMg==\n-----END CERTIFICATE-----\n"
	known := &metadata.Public{ClusterUUID: "u", AuthnKeyPub: "k", RootCA: one + two, TrustDomain: "b.local"}
	for name, test := range map[string]struct {
		before, after *metadata.Public
		adds          bool
	}{
		"the same":                {known, known, false},
		"the first":               {nil, known, false},
		"another key":             {known, &metadata.Public{ClusterUUID: "u", AuthnKeyPub: "k2", RootCA: one + two}, true},
		"another UUID":            {known, &metadata.Public{ClusterUUID: "u2", AuthnKeyPub: "k", RootCA: one + two}, true},
		"a root less":             {known, &metadata.Public{ClusterUUID: "u", AuthnKeyPub: "k", RootCA: two}, false},
		"roots in another order":  {known, &metadata.Public{ClusterUUID: "u", AuthnKeyPub: "k", RootCA: two + one}, false},
		"a root more":             {&metadata.Public{ClusterUUID: "u", AuthnKeyPub: "k", RootCA: one}, known, true},
		"a root instead":          {&metadata.Public{ClusterUUID: "u", AuthnKeyPub: "k", RootCA: one}, &metadata.Public{ClusterUUID: "u", AuthnKeyPub: "k", RootCA: two}, true},
		"a bundle that is broken": {&metadata.Public{ClusterUUID: "u", AuthnKeyPub: "k", RootCA: "x"}, known, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := addsIdentity(test.before, test.after); got != test.adds {
				t.Errorf("adds: %v", got)
			}
		})
	}
}
