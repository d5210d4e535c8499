package ca

import (
	"cmp"
	"math"
	"slices"
	"time"
)

const (
	// WorkloadCertificateLifetime is how long a Pod's certificate lives (Istio's
	// DEFAULT_WORKLOAD_CERT_TTL and the proxy's SECRET_TTL, which the module leaves as they are).
	WorkloadCertificateLifetime = 24 * time.Hour

	margin = time.Hour
	// Distribution is how long a new root is handed out before its CA signs. Proxies accept a new root as soon as
	// istiod pushes it; one that cannot be pushed to gets it with its next certificate, within the lifetime of
	// the one it has. Peers ask once a minute.
	Distribution = WorkloadCertificateLifetime + margin
	// Overlap is how long a root is trusted after its CA signed last: until the last certificate has expired.
	Overlap = WorkloadCertificateLifetime + margin
	// settling is the least time between introducing one root and dropping another, even in an emergency. istiod
	// (handleEvent in pilot/pkg/bootstrap/istio_ca.go, 1.29 to 1.31) accepts new roots only as a bundle that contains
	// the former one, or is contained in it: it must see the bundle in between, and the kubelet needs a minute or two to
	// update a changed Secret in its Pod.
	settling = 5 * time.Minute
	// maxTrusted is how many roots peers accept in public metadata: those of two CAs.
	maxTrusted = 2 * maxRoots
)

// RootsConfigMap is where istiod hands out the roots to the Pods of a namespace, which have it in a file.
const RootsConfigMap = "istio-ca-root-cert"

// notYet is the date of what was decided and is not in Secret cacerts: when it
// gets there, that time replaces notYet. Until then nothing ends.
var notYet = time.Date(9999, time.January, 1, 0, 0, 0, 0, time.UTC)

// Phase of a rotation.
type Phase string

const (
	// Distributing means that the new root is trusted already, the former CA still signs.
	Distributing Phase = "Distributing"
	// Retiring means that the CA that is wanted signs, a root that is not needed any more is still trusted.
	Retiring Phase = "Retiring"
)

// Phases lists them all.
var Phases = []Phase{Distributing, Retiring}

// Trust is which roots the mesh trusts; its zero value stands for those of the CA that signs, for ever.
type Trust struct {
	// Roots are in the order in which they came.
	Roots []Root `json:"roots"`
	// Dropped is when a root left Secret cacerts last, a time to come if it is still in there; zero when that does
	// not matter any more.
	Dropped time.Time `json:"dropped,omitzero"`
}

// Recall makes the best of a lost record: trusted is what was handed out last.
// For how long is unknown, so roots that signing does not need start again.
func Recall(signing Bundle, trusted string, now time.Time) Trust {
	var trust Trust
	for _, root := range everTrusted(trusted) {
		if !sound(signing, []Root{root}, now) {
			root.Since = now
		}
		trust.Roots = append(trust.Roots, root)
	}
	return trust
}

// State is the CA that signs and what the mesh trusts.
type State struct {
	// Signing is the CA that signs; its Root holds its own roots, not all that are trusted.
	Signing Bundle
	Trust
}

// Trusted is the PEM bundle that workloads and peers verify with.
func (s State) Trusted() string {
	return cmp.Or(bundleOf(s.Roots), s.Signing.Root)
}

// Settled is true when Trust says nothing that Signing does not say.
func (s State) Settled() bool {
	return s.Dropped.IsZero() && !slices.ContainsFunc(s.Roots, func(root Root) bool { return !root.Since.IsZero() || !root.Retired.IsZero() })
}

// Seen is how far what was decided has come.
type Seen struct {
	// Installed is what Secret cacerts holds, Root being all that is trusted.
	Installed Bundle
	// HandedOut is the PEM bundle that istiod wrote into RootsConfigMap: proxies verify istiod with it.
	HandedOut string
}

// Rotation is the outcome of Rotate.
type Rotation struct {
	State
	// Phase is empty when no rotation is going on, and Due then zero.
	Phase Phase
	// Due is when the phase ends by itself; zero while what it needs is not in Secret cacerts.
	Due time.Time
	// Request is what is still to be done of the request; empty when it is fulfilled.
	Request Request
	// Deferral is why the request does not end the phase now; empty when there is no request, or no phase.
	Deferral Deferral
	// Idle is true when there was nothing that a request could hasten. An
	// emergency stays for the CA that is to come, a request to proceed is forgotten.
	Idle bool
}

// Rotate brings state nearer to wanted, a sound bundle, without a moment in which
// two workloads could not verify each other: first the new root is trusted
// everywhere, then the new CA signs, then the former root is dropped. A CA whose roots
// are trusted already signs at once, and so does one that replaces a CA that is
// not sound (any more): certificates of that verify nowhere.
//
// A phase counts from when its beginning is in Secret cacerts, for what was decided and never
// applied (a Helm release that fails) reaches nobody; no request changes that.
//
// It is level-triggered: settings that change on the way only change what is wanted.
func Rotate(state State, seen Seen, wanted Bundle, request Request, now time.Time) Rotation {
	t := begin(state, seen, wanted.normalized(), request, now)
	t.confirm()
	t.introduce()
	t.sign()
	t.retire()
	t.report()
	return t.Rotation
}

// turn is one call of Rotate. Its methods are the steps, in their order; each changes the Rotation.
type turn struct {
	Rotation
	now time.Time
	// former is the CA that signed before this turn, wanted the one that is to sign.
	former, wanted Bundle
	// installed is the CA in Secret cacerts, present what is trusted there.
	installed Bundle
	present   []Root
	// handedOut are the roots that istiod hands out.
	handedOut []Root
	// dropped is true when this turn drops a root.
	dropped bool
}

func begin(state State, seen Seen, wanted Bundle, request Request, now time.Time) *turn {
	if state.Signing.IsZero() {
		state = State{Signing: wanted}
	}
	state.Signing, state.Roots = state.Signing.normalized(), slices.Clone(state.Roots)
	own := everTrusted(state.Signing.Root)
	if len(state.Roots) == 0 || !sound(state.Signing, state.Roots, now) && sound(state.Signing, own, now) {
		state.Roots = own // there is no record, or it is another CA's
	}
	if !request.Known() {
		request = ""
	}
	return &turn{
		Rotation: Rotation{State: state, Request: request},
		now:      now, former: state.Signing, wanted: wanted, installed: seen.Installed.normalized(),
		present: everTrusted(seen.Installed.Root), handedOut: everTrusted(seen.HandedOut),
	}
}

// confirm dates what has reached Secret cacerts, and what istiod hands out.
func (t *turn) confirm() {
	for index, root := range t.Roots {
		if root.Since.Equal(notYet) && has(t.present, root.Certificate) {
			t.Roots[index].Since = t.now
		}
		t.Roots[index].confirmHandedOut(has(t.handedOut, root.Certificate), t.now)
	}
	remains := slices.ContainsFunc(t.present, func(root Root) bool { return !has(t.Roots, root.Certificate) })
	if t.Dropped.Equal(notYet) && !remains {
		t.Dropped = t.now
	}
}

// introduce hands out the roots of the wanted CA that are not trusted yet, unless a root was dropped just now. When
// there are too many, they wait until others have been dropped.
func (t *turn) introduce() {
	if t.now.Before(t.Dropped.Add(settling)) {
		return
	}
	t.Dropped = time.Time{}
	more := slices.Clone(t.Roots)
	for _, certificate := range splitRoots(t.wanted.Root) {
		if !has(more, certificate) {
			more = append(more, Root{Certificate: certificate, Since: notYet})
		}
	}
	if len(more) <= maxTrusted {
		t.Roots = more
	}
}

// sign lets the wanted CA sign as soon as everybody verifies its certificates.
func (t *turn) sign() {
	if t.Signing == t.wanted {
		return
	}
	installed, trusted := sound(t.wanted, t.present, t.now), sound(t.wanted, t.Roots, t.now)
	ready := notYet
	if installed {
		ready = knownSince(t.wanted, t.Roots, t.now, Root.since).Add(Distribution)
	}
	due, deferral := t.hastened(ready)
	switch {
	case trusted && installed && !t.now.Before(due):
	case trusted && !sound(t.Signing, t.Roots, t.now):
	default:
		t.Phase, t.Due, t.Deferral = Distributing, due, deferral
		return
	}
	t.Signing = t.wanted
	if t.Request != Emergency {
		t.Request = "" // it asked for the end of this phase, not of the next
	}
}

// retire dates the roots that neither of the two CAs needs, from when the one that is to sign does so, and drops those
// that have been retired for long enough.
func (t *turn) retire() {
	signs := t.installed.Cert == t.Signing.Cert
	needed := append(splitRoots(t.Signing.Root), splitRoots(t.wanted.Root)...)
	for index, root := range t.Roots {
		switch {
		case slices.Contains(needed, root.Certificate):
			t.Roots[index].Retired = time.Time{}
		case signs && (root.Retired.IsZero() || root.Retired.Equal(notYet)):
			t.Roots[index].Retired = t.now
		case root.Retired.IsZero():
			t.Roots[index].Retired = notYet
		}
	}
	if signs && slices.EqualFunc(t.present, t.Roots, sameCertificate) {
		remaining := drop(t.Roots, t.Request, t.now)
		t.dropped = len(remaining) < len(t.Roots)
		t.Roots = remaining
	}
	if t.dropped {
		t.Dropped = notYet
	}
	for index, root := range t.Roots {
		if !t.now.Before(root.Since.Add(Distribution)) {
			t.Roots[index].Since, t.Roots[index].HandedOut = time.Time{}, time.Time{} // everybody has it
		}
	}
}

// report says how far the rotation is, and what remains of the request.
func (t *turn) report() {
	if t.Phase == "" {
		for _, root := range t.Roots {
			if due := root.end(t.Request, t.now); !root.Retired.IsZero() && due.After(t.Due) {
				t.Phase, t.Due, t.Deferral = Retiring, due, settlement(t.Request, due)
			}
		}
	}
	if !t.Due.Before(notYet) {
		t.Due = time.Time{}
	}
	if t.Phase == "" {
		t.Idle = t.Request != "" && t.Signing == t.former && !t.dropped
		if !t.Idle || t.Request != Emergency {
			t.Request = ""
		}
	}
}

func sameCertificate(a, b Root) bool { return a.Certificate == b.Certificate }

// has is true for a certificate among roots.
func has(roots []Root, certificate string) bool {
	return slices.ContainsFunc(roots, func(root Root) bool { return root.Certificate == certificate })
}

// everTrusted are the roots of a bundle that everybody has.
func everTrusted(bundle string) []Root {
	var roots []Root
	for _, certificate := range splitRoots(bundle) {
		roots = append(roots, Root{Certificate: certificate})
	}
	return roots
}

// knownSince is from when on everybody could have roots that authority verifies up to, by what since says of each.
func knownSince(authority Bundle, roots []Root, now time.Time, since func(Root) time.Time) time.Time {
	byAge := slices.Clone(roots)
	slices.SortStableFunc(byAge, func(a, b Root) int { return since(a).Compare(since(b)) })
	for count := range byAge {
		if sound(authority, byAge[:count+1], now) {
			return since(byAge[count])
		}
	}
	// Its root is not handed out yet: another one has just gone, or there are too many.
	return notYet
}

// sound is true for an authority that is in force and verifies up to roots, however many.
func sound(authority Bundle, roots []Root, now time.Time) bool {
	authority.Root = bundleOf(roots)
	return authority.Root != "" && authority.check(now, math.MaxInt) == nil
}

// drop leaves out roots that have been retired for long enough, from both ends of the list only:
// istiod finds what remains in what it had (see settling) when there is no gap.
func drop(roots []Root, request Request, now time.Time) []Root {
	if slices.ContainsFunc(roots, func(root Root) bool { return now.Before(root.Since.Add(settling)) }) {
		return roots
	}
	ended := func(root Root) bool {
		return !root.Retired.IsZero() && !now.Before(root.end(request, now))
	}
	for len(roots) > 0 && ended(roots[0]) {
		roots = roots[1:]
	}
	for len(roots) > 0 && ended(roots[len(roots)-1]) {
		roots = roots[:len(roots)-1]
	}
	return roots
}
