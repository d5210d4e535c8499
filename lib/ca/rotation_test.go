package ca_test

import (
	"crypto/x509"
	"fmt"
	"maps"
	"reflect"
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

// inForce is what the templates make Secret cacerts of.
func inForce(state ca.State) ca.Bundle {
	bundle := state.Signing
	bundle.Root = state.Trusted()
	return bundle
}

// step is a minute of the hook: what is set and asked at a time, and what must come of it.
type step struct {
	at      time.Duration
	wanted  string
	request ca.Request
	fails   bool // Helm, so that Secret cacerts stays as it is
	silent  bool // istiod, so that ConfigMap istio-ca-root-cert stays as it is

	signs   string
	trusts  string // names of CAs in order
	phase   ca.Phase
	due     time.Duration // since the start; 0: none
	remains ca.Request
	why     ca.Deferral
	idle    bool
}

// settle runs the hook until it has nothing to do: a change of Secret cacerts, or of what istiod hands out, wakes it.
func (s step) settle(t *testing.T, state ca.State, seen *ca.Seen, wanted ca.Bundle, now time.Time) ca.Rotation {
	t.Helper()
	request, idle := s.request, false
	for range 6 {
		before := *seen
		got := ca.Rotate(state, before, wanted, request, now)
		if !s.fails {
			seen.Installed = inForce(got.State)
		}
		if !s.silent {
			seen.HandedOut = seen.Installed.Root
		}
		idle = idle || got.Idle
		if *seen == before && reflect.DeepEqual(got.State, state) && got.Request == request {
			got.Idle = idle
			return got
		}
		state, request = got.State, got.Request
	}
	t.Fatalf("the hook does not come to rest: %+v", state)
	return ca.Rotation{}
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
	roots := maps.Clone(authorities)
	for name, count := range map[string]int{"A": 4, "B": 4, "C": 7} {
		many := authorities[name]
		for number := range count {
			more := fmt.Sprintf("%s%d", strings.ToLower(name), number+1)
			roots[more] = authority(t, more)
			many.Root += roots[more].Root
		}
		authorities[fmt.Sprintf("%s and %d more", name, count)] = many
	}
	const h, m = time.Hour, time.Minute

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
		"a person in a hurry waits until Pods have the new root, and until istiod has seen both": {
			{wanted: "A", signs: "A", trusts: "A"},
			{wanted: "B", request: ca.Proceed, signs: "A", trusts: "A B", phase: ca.Distributing, due: 3 * m, remains: ca.Proceed, why: ca.RenewingFiles},
			{at: 2 * m, wanted: "B", request: ca.Proceed, signs: "A", trusts: "A B", phase: ca.Distributing, due: 3 * m, remains: ca.Proceed, why: ca.RenewingFiles},
			{at: 3 * m, wanted: "B", request: ca.Proceed, signs: "B", trusts: "A B", phase: ca.Retiring, due: 3*m + 25*h},
			{at: 4 * m, wanted: "B", request: ca.Proceed, signs: "B", trusts: "A B", phase: ca.Retiring, due: 8 * m, remains: ca.Proceed, why: ca.Settling},
			{at: 8 * m, wanted: "B", request: ca.Proceed, signs: "B", trusts: "B"},
		},
		"a person who has checked the files does not wait for them, only until istiod has seen both roots": {
			{wanted: "A", signs: "A", trusts: "A"},
			{wanted: "B", request: ca.ProceedNow, signs: "B", trusts: "A B", phase: ca.Retiring, due: 25 * h},
			{at: m, wanted: "B", request: ca.ProceedNow, signs: "B", trusts: "A B", phase: ca.Retiring, due: 5 * m, remains: ca.ProceedNow, why: ca.Settling},
			{at: 5 * m, wanted: "B", request: ca.ProceedNow, signs: "B", trusts: "B"},
		},
		"the files are new when istiod has handed out the root for long enough, not Secret cacerts": {
			{wanted: "A", signs: "A", trusts: "A"},
			{wanted: "B", silent: true, request: ca.Proceed, signs: "A", trusts: "A B", phase: ca.Distributing, due: 25 * h, remains: ca.Proceed, why: ca.NotHandedOut},
			{at: h, wanted: "B", silent: true, request: ca.Proceed, signs: "A", trusts: "A B", phase: ca.Distributing, due: 25 * h, remains: ca.Proceed, why: ca.NotHandedOut},
			{at: 2 * h, wanted: "B", request: ca.Proceed, signs: "A", trusts: "A B", phase: ca.Distributing, due: 2*h + 3*m, remains: ca.Proceed, why: ca.RenewingFiles},
			{at: 2*h + 3*m, wanted: "B", request: ca.Proceed, signs: "B", trusts: "A B", phase: ca.Retiring, due: 27*h + 3*m},
		},
		"a request that waited for the whole phase does not hasten the next": {
			{wanted: "A", signs: "A", trusts: "A"},
			{wanted: "B", silent: true, request: ca.Proceed, signs: "A", trusts: "A B", phase: ca.Distributing, due: 25 * h, remains: ca.Proceed, why: ca.NotHandedOut},
			{at: 25 * h, wanted: "B", silent: true, request: ca.Proceed, signs: "B", trusts: "A B", phase: ca.Retiring, due: 50 * h},
		},
		"a request defers nothing that was due": {
			{wanted: "A", signs: "A", trusts: "A"},
			{wanted: "B", silent: true, signs: "A", trusts: "A B", phase: ca.Distributing, due: 25 * h},
			{at: 25*h - m, wanted: "B", request: ca.Proceed, signs: "A", trusts: "A B", phase: ca.Distributing, due: 25 * h, remains: ca.Proceed, why: ca.RenewingFiles},
			{at: 25 * h, wanted: "B", request: ca.Proceed, signs: "B", trusts: "A B", phase: ca.Retiring, due: 50 * h},
		},
		"a clock that is set back, even by years, makes a person wait at most once more": {
			{wanted: "A", signs: "A", trusts: "A"},
			{at: 48 * h, wanted: "B", signs: "A", trusts: "A B", phase: ca.Distributing, due: 73 * h},
			{at: h, wanted: "B", request: ca.Proceed, signs: "A", trusts: "A B", phase: ca.Distributing, due: h + 3*m, remains: ca.Proceed, why: ca.RenewingFiles},
			{at: h + 3*m, wanted: "B", request: ca.Proceed, signs: "B", trusts: "A B", phase: ca.Retiring, due: 26*h + 3*m},
		},
		"in an emergency the former CA is gone after five minutes": {
			{wanted: "A", signs: "A", trusts: "A"},
			{wanted: "B", signs: "A", trusts: "A B", phase: ca.Distributing, due: 25 * h},
			{at: h, wanted: "B", request: ca.Emergency, signs: "B", trusts: "A B", phase: ca.Retiring, due: h + 5*time.Minute, remains: ca.Emergency, why: ca.Settling},
			{at: h + 4*time.Minute, wanted: "B", request: ca.Emergency, signs: "B", trusts: "A B", phase: ca.Retiring, due: h + 5*time.Minute, remains: ca.Emergency, why: ca.Settling},
			{at: h + 5*time.Minute, wanted: "B", request: ca.Emergency, signs: "B", trusts: "B"},
		},
		"a request without a rotation is forgotten": {
			{wanted: "A", signs: "A", trusts: "A"},
			{wanted: "A", request: ca.Proceed, signs: "A", trusts: "A", idle: true},
		},
		"an emergency waits for the CA that is to come": {
			{wanted: "A", signs: "A", trusts: "A"},
			{wanted: "A", request: ca.Emergency, signs: "A", trusts: "A", remains: ca.Emergency, idle: true},
			{at: h, wanted: "B", request: ca.Emergency, signs: "B", trusts: "A B", phase: ca.Retiring, due: h + 5*time.Minute, remains: ca.Emergency, why: ca.Settling},
			{at: h + 5*time.Minute, wanted: "B", request: ca.Emergency, signs: "B", trusts: "B"},
		},
		"a new root that is not installed is nobody's, however long that lasts": {
			{wanted: "A", signs: "A", trusts: "A"},
			{wanted: "B", fails: true, signs: "A", trusts: "A B", phase: ca.Distributing},
			{at: 30 * h, wanted: "B", fails: true, signs: "A", trusts: "A B", phase: ca.Distributing},
			{at: 60 * h, wanted: "B", fails: true, request: ca.Proceed, signs: "A", trusts: "A B", phase: ca.Distributing, remains: ca.Proceed, why: ca.NotInstalled},
			{at: 60 * h, wanted: "B", fails: true, request: ca.Emergency, signs: "A", trusts: "A B", phase: ca.Distributing, remains: ca.Emergency, why: ca.NotInstalled},
			{at: 60 * h, wanted: "B", signs: "A", trusts: "A B", phase: ca.Distributing, due: 85 * h},
		},
		"the former root stays as long as the former CA is installed": {
			{wanted: "A", signs: "A", trusts: "A"},
			{wanted: "B", signs: "A", trusts: "A B", phase: ca.Distributing, due: 25 * h},
			{at: 25 * h, wanted: "B", fails: true, signs: "B", trusts: "A B", phase: ca.Retiring},
			{at: 60 * h, wanted: "B", fails: true, signs: "B", trusts: "A B", phase: ca.Retiring},
			{at: 60 * h, wanted: "B", fails: true, request: ca.Emergency, signs: "B", trusts: "A B", phase: ca.Retiring, remains: ca.Emergency, why: ca.NotInstalled},
			{at: 60 * h, wanted: "B", signs: "B", trusts: "A B", phase: ca.Retiring, due: 85 * h},
		},
		"no root comes before the one that went is gone from what is installed": {
			{wanted: "A", signs: "A", trusts: "A"},
			{wanted: "B", signs: "A", trusts: "A B", phase: ca.Distributing, due: 25 * h},
			{at: 25 * h, wanted: "B", signs: "B", trusts: "A B", phase: ca.Retiring, due: 50 * h},
			{at: 50 * h, wanted: "B", fails: true, signs: "B", trusts: "B"},
			{at: 60 * h, wanted: "C", fails: true, signs: "B", trusts: "B", phase: ca.Distributing},
			{at: 61 * h, wanted: "C", signs: "B", trusts: "B", phase: ca.Distributing},
			{at: 61*h + 5*time.Minute, wanted: "C", signs: "B", trusts: "B C", phase: ca.Distributing, due: 86*h + 5*time.Minute},
		},
		"a rotation between CAs with many roots each ends": {
			{wanted: "A and 4 more", signs: "A and 4 more", trusts: "A a1 a2 a3 a4"},
			{wanted: "B and 4 more", signs: "A and 4 more", trusts: "A a1 a2 a3 a4 B b1 b2 b3 b4", phase: ca.Distributing, due: 25 * h},
			{at: h, wanted: "B and 4 more", request: ca.Emergency, signs: "B and 4 more", trusts: "A a1 a2 a3 a4 B b1 b2 b3 b4",
				phase: ca.Retiring, due: h + 5*time.Minute, remains: ca.Emergency, why: ca.Settling},
			{at: 2 * h, wanted: "B and 4 more", request: ca.Emergency, signs: "B and 4 more", trusts: "B b1 b2 b3 b4"},
		},
		"roots that peers would reject as too many wait until others are dropped": {
			{wanted: "A and 4 more", signs: "A and 4 more", trusts: "A a1 a2 a3 a4"},
			{wanted: "B and 4 more", signs: "A and 4 more", trusts: "A a1 a2 a3 a4 B b1 b2 b3 b4", phase: ca.Distributing, due: 25 * h},
			{at: h, wanted: "C and 7 more", signs: "A and 4 more", trusts: "A a1 a2 a3 a4 B b1 b2 b3 b4", phase: ca.Distributing},
			{at: 26 * h, wanted: "C and 7 more", signs: "A and 4 more", trusts: "A a1 a2 a3 a4", phase: ca.Distributing},
			{at: 27 * h, wanted: "C and 7 more", signs: "A and 4 more", trusts: "A a1 a2 a3 a4 C c1 c2 c3 c4 c5 c6 c7", phase: ca.Distributing, due: 52 * h},
		},
		"a request that means nothing asks for nothing": {
			{wanted: "A", signs: "A", trusts: "A"},
			{wanted: "B", request: "hurry", signs: "A", trusts: "A B", phase: ca.Distributing, due: 25 * h},
		},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now().Truncate(time.Second)
			var (
				state ca.State
				seen  ca.Seen
			)
			for number, step := range steps {
				now := start.Add(step.at)
				got := step.settle(t, state, &seen, authorities[step.wanted], now)
				trusts := []string{}
				for _, root := range strings.SplitAfter(got.Trusted(), "-----END CERTIFICATE-----\n") {
					for name, authority := range roots {
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
				if got.Phase != step.phase || got.Request != step.remains || got.Idle != step.idle {
					t.Errorf("step %d: phase %q, request %q, idle %v; want %q, %q, %v", number, got.Phase, got.Request, got.Idle, step.phase, step.remains, step.idle)
				}
				if got.Deferral != step.why {
					t.Errorf("step %d: the request is deferred because of %q, want %q", number, got.Deferral, step.why)
				}
				var due time.Time
				if step.due != 0 {
					due = start.Add(step.due)
				}
				if !got.Due.Equal(due) {
					t.Errorf("step %d: due %s, want %s", number, got.Due, due)
				}
				state = got.State
			}
		})
	}
}

// TestTrustedRootsNeverJump: istiod takes other roots only when the former bundle contains them or is contained in them.
func TestTrustedRootsNeverJump(t *testing.T) {
	authorities := []ca.Bundle{authority(t, "A"), authority(t, "B"), authority(t, "C"), authority(t, "D")}
	requests := []ca.Request{"", "", "", "", ca.Proceed, ca.ProceedNow, ca.Emergency}
	start := time.Now().Truncate(time.Second)
	// A fixed sequence without a pattern (the quadratic residues of a prime) in place of chance.
	const prime = 10_007
	state, now, installed := ca.State{Signing: authorities[0]}, start, authorities[0]
	// What istiod may have at a moment: the kubelet brings it any version of the last minutes, and it may skip some.
	type version struct {
		at     time.Time
		bundle string
	}
	versions := []version{{start, installed.Root}}
	switches := 0
	for number := range 1500 {
		choice := number * number % prime
		now = now.Add(time.Duration(choice%240) * time.Minute / 8)
		for len(versions) > 1 && now.Sub(versions[1].at) >= 5*time.Minute {
			versions = versions[1:]
		}
		// Settings change rarely, the hook runs often, and Helm fails for hours.
		rotation := ca.Rotate(state, ca.Seen{Installed: installed, HandedOut: installed.Root}, authorities[(number/37*number/37)%prime%len(authorities)], requests[choice%len(requests)], now)
		state = rotation.State
		if (number/11*number/11)%prime%3 == 0 {
			continue
		}
		next := inForce(state)
		for _, former := range versions {
			if !strings.Contains(next.Root, former.bundle) && !strings.Contains(former.bundle, next.Root) {
				t.Fatalf("run %d: trusted roots jump: %d bytes that neither contain nor are part of the %d of %s before",
					number, len(next.Root), len(former.bundle), now.Sub(former.at))
			}
		}
		if err := (ca.Bundle{Cert: next.Cert, Key: next.Key, Root: next.Root}).Check(start); err != nil {
			t.Fatalf("run %d: what signs is not trusted: %v", number, err)
		}
		if next.Cert != installed.Cert {
			switches++
			if !strings.Contains(installed.Root, next.Cert) {
				t.Fatalf("run %d: a CA signs whose root was not installed before", number)
			}
		}
		if next.Root != versions[len(versions)-1].bundle {
			versions = append(versions, version{now, next.Root})
		}
		installed = next
	}
	if switches < 10 {
		t.Errorf("the CA changed %d times: too rarely to prove anything", switches)
	}
}

func TestTextAroundACertificateDoesNotMatter(t *testing.T) {
	a := authority(t, "A")
	commented := a
	commented.Root = "# our root\n" + a.Root + "\n"
	state := ca.Rotate(ca.State{Signing: a}, ca.Seen{Installed: a}, commented, "", time.Now())
	if state.Phase != "" || state.Trusted() != a.Root {
		t.Errorf("phase %q, trusted\n%s", state.Phase, state.Trusted())
	}
}

func TestARecordOfAnotherCAIsIgnored(t *testing.T) {
	a, b, now := authority(t, "A"), authority(t, "B"), time.Now()
	state := ca.State{Signing: a, Trust: ca.Trust{Roots: []ca.Root{{Certificate: b.Root}}}}
	if got := ca.Rotate(state, ca.Seen{Installed: a}, a, "", now); got.Trusted() != a.Root {
		t.Errorf("the CA that signs is not trusted:\n%s", got.Trusted())
	}
}

func TestSettled(t *testing.T) {
	a, b, now := authority(t, "A"), authority(t, "B"), time.Now()
	seen := ca.Seen{Installed: a}
	run := func(state ca.State, wanted ca.Bundle, at time.Duration) ca.State {
		return step{}.settle(t, state, &seen, wanted, now.Add(at)).State
	}
	if !run(ca.State{}, a, 0).Settled() {
		t.Error("a CA without a rotation is not settled")
	}
	begun := run(ca.State{Signing: a}, b, 0)
	if begun.Settled() {
		t.Error("a rotation that has begun is settled")
	}
	switched := run(begun, b, ca.Distribution)
	if switched.Settled() {
		t.Error("a rotation with a retired root is settled")
	}
	over := run(switched, b, ca.Distribution+ca.Overlap)
	if over.Settled() {
		t.Error("a root that has just gone does not matter")
	}
	if !run(over, b, ca.Distribution+ca.Overlap+time.Hour).Settled() {
		t.Error("a rotation that has ended is not settled")
	}
}

func TestNoRootIsDroppedWhileAnEarlierReleaseIsInstalled(t *testing.T) {
	a, b, now := authority(t, "A"), authority(t, "B"), time.Now()
	state, seen := ca.State{Signing: a}, ca.Seen{Installed: a}
	for _, at := range []time.Duration{0, ca.Distribution} {
		state = step{}.settle(t, state, &seen, b, now.Add(at)).State
	}
	later, rolledBack := now.Add(ca.Distribution+ca.Overlap), seen.Installed
	rolledBack.Root = a.Root
	if got := ca.Rotate(state, ca.Seen{Installed: rolledBack}, b, "", later); got.Trusted() != a.Root+b.Root || got.Phase != ca.Retiring {
		t.Errorf("phase %q, trusted\n%s", got.Phase, got.Trusted())
	}
	if got := ca.Rotate(state, seen, b, "", later); got.Trusted() != b.Root {
		t.Errorf("phase %q, trusted\n%s", got.Phase, got.Trusted())
	}
}

func TestALostRecordRestartsTheDistributionOfRoots(t *testing.T) {
	a, b, now := authority(t, "A"), authority(t, "B"), time.Now()
	found := a
	found.Root += b.Root
	state := ca.State{Signing: found, Trust: ca.Recall(found, found.Root, now)}
	if got := ca.Rotate(state, ca.Seen{Installed: found}, b, "", now); got.Signing != found || got.Phase != ca.Distributing || !got.Due.Equal(now.Add(ca.Distribution)) {
		t.Errorf("phase %q until %s", got.Phase, got.Due)
	}
	if got := ca.Rotate(state, ca.Seen{Installed: found}, b, "", now.Add(ca.Distribution)); got.Signing != b {
		t.Error("the new CA does not sign when its root has had time")
	}
	if got := ca.Recall(a, a.Root, now); !(ca.State{Signing: a, Trust: got}).Settled() {
		t.Errorf("the signing CA's own root is as old as can be, not of %v", got)
	}
}

func TestShare(t *testing.T) {
	a, b := authority(t, "A").Root, authority(t, "B").Root
	if !ca.Share("# ours\n"+a, b+a) || ca.Share(a, b) || ca.Share(a, "") || ca.Share("", "") {
		t.Error("two bundles share what is in both, and nothing else")
	}
}
