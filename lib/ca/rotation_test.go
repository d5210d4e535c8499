package ca_test

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/ca"
)

// authority is a CA that lives long enough for the clocks of these tests.
func authority(t *testing.T, name string) ca.Bundle {
	t.Helper()
	made := issue(t, name, nil, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(24 * 365 * time.Hour) })
	return ca.Bundle{Cert: made.pem, Key: made.keyPEM, Chain: made.pem, Root: made.pem}
}

// step is one run of the hook: what is set and asked at a time, and what must come of it.
type step struct {
	at      time.Duration
	wanted  string
	request ca.Request

	signs   string
	trusts  string // names of CAs in order
	phase   ca.Phase
	due     time.Duration // since the start; 0: none
	remains ca.Request
}

func TestRotate(t *testing.T) {
	authorities := map[string]ca.Bundle{"A": authority(t, "A"), "B": authority(t, "B"), "C": authority(t, "C")}
	both := authorities["A"]
	both.Root = authorities["A"].Root + authorities["B"].Root
	authorities["A, trusts B"] = both
	soon := issue(t, "soon", nil, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(2 * time.Hour) })
	authorities["expires in 2 h"] = ca.Bundle{Cert: soon.pem, Key: soon.keyPEM, Chain: soon.pem, Root: soon.pem}
	intermediate := issue(t, "intermediate of soon", soon, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(time.Hour) })
	authorities["intermediate"] = ca.Bundle{Cert: intermediate.pem, Key: intermediate.keyPEM, Chain: intermediate.pem, Root: soon.pem}
	const h = time.Hour

	for name, steps := range map[string][]step{
		"the first CA signs at once": {
			{wanted: "A", signs: "A", trusts: "A"},
		},
		"an unchanged CA stays what it is": {
			{wanted: "A", signs: "A", trusts: "A"},
			{at: 100 * h, wanted: "A", signs: "A", trusts: "A"},
		},
		"another CA is trusted first, signs later, and the former root goes last": {
			{wanted: "A", signs: "A", trusts: "A"},
			{wanted: "B", signs: "A", trusts: "A B", phase: ca.Distributing, due: 25 * h},
			{at: 24 * h, wanted: "B", signs: "A", trusts: "A B", phase: ca.Distributing, due: 25 * h},
			{at: 25 * h, wanted: "B", signs: "B", trusts: "A B", phase: ca.Retiring, due: 50 * h},
			{at: 49 * h, wanted: "B", signs: "B", trusts: "A B", phase: ca.Retiring, due: 50 * h},
			{at: 50 * h, wanted: "B", signs: "B", trusts: "B"},
		},
		"a run that comes late counts from when things happened, not from when they were due": {
			{wanted: "A", signs: "A", trusts: "A"},
			{wanted: "B", signs: "A", trusts: "A B", phase: ca.Distributing, due: 25 * h},
			{at: 90 * h, wanted: "B", signs: "B", trusts: "A B", phase: ca.Retiring, due: 115 * h},
			{at: 115 * h, wanted: "B", signs: "B", trusts: "B"},
		},
		"a new CA under a root that is trusted already signs at once": {
			{wanted: "expires in 2 h", signs: "expires in 2 h", trusts: "expires in 2 h"},
			{wanted: "intermediate", signs: "intermediate", trusts: "expires in 2 h"},
		},
		"a root listed in time by the person needs no waiting": {
			{wanted: "A", signs: "A", trusts: "A"},
			{wanted: "A, trusts B", signs: "A, trusts B", trusts: "A B"},
			{at: 25 * h, wanted: "B", signs: "B", trusts: "A B", phase: ca.Retiring, due: 50 * h},
		},
		"who changes their mind before the switch keeps the former CA, and the new root goes in time": {
			{wanted: "A", signs: "A", trusts: "A"},
			{wanted: "B", signs: "A", trusts: "A B", phase: ca.Distributing, due: 25 * h},
			{at: h, wanted: "A", signs: "A", trusts: "A B", phase: ca.Retiring, due: 26 * h},
			{at: 26 * h, wanted: "A", signs: "A", trusts: "A"},
		},
		"who changes their mind after the switch is back at once": {
			{wanted: "A", signs: "A", trusts: "A"},
			{wanted: "B", signs: "A", trusts: "A B", phase: ca.Distributing, due: 25 * h},
			{at: 25 * h, wanted: "B", signs: "B", trusts: "A B", phase: ca.Retiring, due: 50 * h},
			{at: 26 * h, wanted: "A", signs: "A", trusts: "A B", phase: ca.Retiring, due: 51 * h},
		},
		"a third CA in the middle of it waits for its own root, and none is dropped that leaves a gap": {
			{wanted: "A", signs: "A", trusts: "A"},
			{wanted: "B", signs: "A", trusts: "A B", phase: ca.Distributing, due: 25 * h},
			{at: h, wanted: "C", signs: "A", trusts: "A B C", phase: ca.Distributing, due: 26 * h},
			{at: 26 * h, wanted: "C", signs: "C", trusts: "A B C", phase: ca.Retiring, due: 51 * h},
			{at: 51 * h, wanted: "C", signs: "C", trusts: "C"},
		},
		"a CA that is not in force any more is replaced at once": {
			{wanted: "expires in 2 h", signs: "expires in 2 h", trusts: "expires in 2 h"},
			{at: 3 * h, wanted: "B", signs: "B", trusts: "expires in 2 h B", phase: ca.Retiring, due: 3*h + 5*time.Minute},
			{at: 4 * h, wanted: "B", signs: "B", trusts: "B"},
		},
		"a person may end each phase": {
			{wanted: "A", signs: "A", trusts: "A"},
			{wanted: "B", signs: "A", trusts: "A B", phase: ca.Distributing, due: 25 * h},
			{at: h, wanted: "B", request: ca.Proceed, signs: "B", trusts: "A B", phase: ca.Retiring, due: 26 * h},
			{at: 2 * h, wanted: "B", signs: "B", trusts: "A B", phase: ca.Retiring, due: 26 * h},
			{at: 2 * h, wanted: "B", request: ca.Proceed, signs: "B", trusts: "B"},
		},
		"a person in a hurry waits until istiod has seen both roots": {
			{wanted: "A", signs: "A", trusts: "A"},
			{wanted: "B", request: ca.Proceed, signs: "B", trusts: "A B", phase: ca.Retiring, due: 25 * h},
			{at: time.Minute, wanted: "B", request: ca.Proceed, signs: "B", trusts: "A B", phase: ca.Retiring, due: 5 * time.Minute, remains: ca.Proceed},
			{at: 5 * time.Minute, wanted: "B", request: ca.Proceed, signs: "B", trusts: "B"},
		},
		"in an emergency the former CA is gone after five minutes": {
			{wanted: "A", signs: "A", trusts: "A"},
			{wanted: "B", signs: "A", trusts: "A B", phase: ca.Distributing, due: 25 * h},
			{at: h, wanted: "B", request: ca.Emergency, signs: "B", trusts: "A B", phase: ca.Retiring, due: h + 5*time.Minute, remains: ca.Emergency},
			{at: h + 4*time.Minute, wanted: "B", request: ca.Emergency, signs: "B", trusts: "A B", phase: ca.Retiring, due: h + 5*time.Minute, remains: ca.Emergency},
			{at: h + 5*time.Minute, wanted: "B", request: ca.Emergency, signs: "B", trusts: "B"},
		},
		"a request without a rotation is forgotten": {
			{wanted: "A", signs: "A", trusts: "A"},
			{wanted: "A", request: ca.Emergency, signs: "A", trusts: "A"},
		},
		"a request that means nothing asks for nothing": {
			{wanted: "A", signs: "A", trusts: "A"},
			{wanted: "B", request: "hurry", signs: "A", trusts: "A B", phase: ca.Distributing, due: 25 * h},
		},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now().Truncate(time.Second)
			var state ca.State
			for number, step := range steps {
				now := start.Add(step.at)
				got := ca.Rotate(state, authorities[step.wanted], step.request, now)
				trusts := []string{}
				for _, root := range strings.SplitAfter(got.Trusted(), "-----END CERTIFICATE-----\n") {
					for name, authority := range authorities {
						if authority.Root == root && authority.Cert == root {
							trusts = append(trusts, name)
						}
					}
				}
				if got.Signing != authorities[step.signs] {
					t.Errorf("step %d: another CA signs than %s", number, step.signs)
				}
				if want := step.trusts; strings.Join(trusts, " ") != want {
					t.Errorf("step %d: trusted are %q, want %q", number, trusts, want)
				}
				if got.Phase != step.phase || got.Request != step.remains {
					t.Errorf("step %d: phase %q, request %q; want %q, %q", number, got.Phase, got.Request, step.phase, step.remains)
				}
				var due time.Time
				if step.due != 0 {
					due = start.Add(step.due)
				}
				if !got.Due.Equal(due) {
					t.Errorf("step %d: due %s, want %s", number, got.Due, due)
				}
				if again := ca.Rotate(got.State, authorities[step.wanted], got.Request, now); !slices.Equal(again.Roots, got.Roots) || again.Signing != got.Signing {
					t.Errorf("step %d: the same run again decides otherwise: %+v", number, again)
				}
				state = got.State
			}
		})
	}
}

// TestTrustedRootsNeverJump: istiod takes other roots only when the former bundle contains them or is contained in them.
func TestTrustedRootsNeverJump(t *testing.T) {
	authorities := []ca.Bundle{authority(t, "A"), authority(t, "B"), authority(t, "C"), authority(t, "D")}
	requests := []ca.Request{"", "", "", "", "", ca.Proceed, ca.Emergency}
	start := time.Now().Truncate(time.Second)
	// A fixed sequence without a pattern (the quadratic residues of a prime) in place of chance.
	const prime = 10_007
	state, now := ca.State{Signing: authorities[0]}, start
	// What istiod may have at a moment: the kubelet brings it any version of the last minutes, and it may skip some.
	type version struct {
		at     time.Time
		bundle string
	}
	versions := []version{{start, authorities[0].Root}}
	for number := range 1500 {
		choice := number * number % prime
		now = now.Add(time.Duration(choice%240) * time.Minute / 8)
		for len(versions) > 1 && now.Sub(versions[1].at) >= 5*time.Minute {
			versions = versions[1:]
		}
		// Settings change rarely, the hook runs often.
		rotation := ca.Rotate(state, authorities[(number/37*number/37)%prime%len(authorities)], requests[choice%len(requests)], now)
		next := rotation.Trusted()
		for _, former := range versions {
			if !strings.Contains(next, former.bundle) && !strings.Contains(former.bundle, next) {
				t.Fatalf("run %d: trusted roots jump: %d bytes that neither contain nor are part of the %d of %s before",
					number, len(next), len(former.bundle), now.Sub(former.at))
			}
		}
		if err := (ca.Bundle{Cert: rotation.Signing.Cert, Key: rotation.Signing.Key, Root: rotation.Trusted()}).Check(start); err != nil {
			t.Fatalf("run %d: what signs is not trusted: %v", number, err)
		}
		if next != versions[len(versions)-1].bundle {
			versions = append(versions, version{now, next})
		}
		state = rotation.State
	}
}

func TestTextAroundACertificateDoesNotMakeItAnother(t *testing.T) {
	a := authority(t, "A")
	commented := a
	commented.Root = "# our root\n" + a.Root + "\n"
	state := ca.Rotate(ca.State{Signing: a}, commented, "", time.Now())
	if state.Phase != "" || state.Trusted() != a.Root {
		t.Errorf("phase %q, trusted\n%s", state.Phase, state.Trusted())
	}
}

func TestARecordOfAnotherCAIsNoRecord(t *testing.T) {
	a, b, now := authority(t, "A"), authority(t, "B"), time.Now()
	state := ca.State{Signing: a, Trust: ca.Trust{Roots: []ca.Root{{Certificate: b.Root}}}}
	if got := ca.Rotate(state, a, "", now); got.Trusted() != a.Root {
		t.Errorf("the CA that signs is not trusted:\n%s", got.Trusted())
	}
}

func TestSettled(t *testing.T) {
	a, b, now := authority(t, "A"), authority(t, "B"), time.Now()
	if !ca.Rotate(ca.State{}, a, "", now).Settled() {
		t.Error("a CA without a rotation is not settled")
	}
	begun := ca.Rotate(ca.State{Signing: a}, b, "", now)
	if begun.Settled() {
		t.Error("a rotation that has begun is settled")
	}
	switched := ca.Rotate(begun.State, b, "", now.Add(ca.Distribution))
	if switched.Settled() {
		t.Error("a rotation with a retired root is settled")
	}
	over := ca.Rotate(switched.State, b, "", now.Add(ca.Distribution+ca.Overlap))
	if over.Settled() {
		t.Error("a root that has just gone does not matter")
	}
	if !ca.Rotate(over.State, b, "", now.Add(ca.Distribution+ca.Overlap+time.Hour)).Settled() {
		t.Error("a rotation that is over is not settled")
	}
}
