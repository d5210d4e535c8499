package ca

import (
	"math"
	"slices"
	"time"
)

const (
	// WorkloadCertificateLifetime is how long a Pod's certificate lives (Istio's
	// DEFAULT_WORKLOAD_CERT_TTL and the proxy's SECRET_TTL, which the module leaves as they are).
	WorkloadCertificateLifetime = 24 * time.Hour

	margin = time.Hour
	// Distribution is how long a new root is handed out before its CA signs. Proxies take a new root as soon as
	// istiod pushes it; one that cannot be pushed to gets it with its next certificate, within the lifetime of
	// the one it has. Neighbouring clusters ask once a minute.
	Distribution = WorkloadCertificateLifetime + margin
	// Overlap is how long a root is trusted after its CA signed last: until the last certificate has expired.
	Overlap = WorkloadCertificateLifetime + margin
	// settling is the least time between a root's coming and another's going, whoever is in a hurry. istiod
	// (handleEvent in pilot/pkg/bootstrap/istio_ca.go, 1.29 to 1.31) takes new roots only as a bundle that contains
	// what it had, or is contained in that: it must see the bundle in between, and the kubelet takes a minute or two to
	// bring a changed Secret into its Pod.
	settling = 5 * time.Minute
	// maxTrusted is how many roots neighbours accept in public metadata: those of two CAs.
	maxTrusted = 2 * maxRoots
)

// notYet is the date of what was decided and is not in Secret cacerts: when it
// gets there, the time of that takes its place. Until then nothing is over.
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

// Request is what a person asks of a rotation that is going on.
type Request string

const (
	// Proceed ends the present phase now, once.
	Proceed Request = "proceed"
	// Emergency goes through all phases as fast as istiod can follow: for a CA whose key is in wrong hands.
	Emergency Request = "emergency"
)

// Known is false for a request that means nothing.
func (r Request) Known() bool { return r == Proceed || r == Emergency }

// Trust is which roots the mesh trusts; its zero value stands for those of the CA that signs, for ever.
type Trust struct {
	// Roots are in the order in which they came.
	Roots []Root `json:"roots"`
	// Dropped is when a root left Secret cacerts last, a time to come if it is still in there; zero when that does
	// not matter any more.
	Dropped time.Time `json:"dropped,omitzero"`
}

// Recall makes the best of a lost record: trusted is what was handed out last.
// Nobody knows for how long, so roots that signing does not need begin anew.
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

// Trusted is the PEM bundle that workloads and neighbours verify with.
func (s State) Trusted() string {
	if roots := joinRoots(s.Roots); roots != "" {
		return roots
	}
	return s.Signing.Root
}

// Settled is true when Trust says nothing that Signing does not say.
func (s State) Settled() bool {
	return s.Dropped.IsZero() && !slices.ContainsFunc(s.Roots, func(root Root) bool { return !root.Since.IsZero() || !root.Retired.IsZero() })
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
	// Idle is true when there was nothing that a request could hasten. An
	// emergency stays for the CA that is to come, a request to proceed is forgotten.
	Idle bool
}

// Rotate brings state nearer to wanted, a sound bundle, without a moment in which
// two workloads could not verify each other: first the new root is trusted
// everywhere, then the new CA signs, then the former root goes. A CA whose roots
// are trusted already signs at once, and so does one that replaces a CA that is
// not sound (any more): certificates of that verify nowhere.
//
// installed is what Secret cacerts holds, Root being all that is trusted. A
// phase counts from when its beginning is there, for what was decided and never
// applied (a Helm release that fails) reaches nobody; no request changes that.
//
// It is level-triggered: settings that change on the way only change what is wanted.
func Rotate(state State, installed, wanted Bundle, request Request, now time.Time) Rotation {
	wanted = wanted.withDefaults()
	if state.Signing.IsZero() {
		state = State{Signing: wanted}
	}
	roots := slices.Clone(state.Roots)
	own := everTrusted(state.Signing.Root)
	if len(roots) == 0 || !sound(state.Signing, roots, now) && sound(state.Signing, own, now) {
		roots = own // there is no record, or it is another CA's
	}
	present := everTrusted(installed.Root)
	roots, dropped := confirm(roots, state.Dropped, present, now)
	if !now.Before(dropped.Add(settling)) {
		dropped = time.Time{}
		roots = handOut(roots, wanted)
	}
	if !request.Known() {
		request = ""
	}

	rotation := Rotation{State: State{Signing: state.Signing, Trust: Trust{Dropped: dropped}}, Request: request}
	ready, handedOut := readyAt(wanted, roots, now), sound(wanted, present, now)
	switch {
	case state.Signing == wanted, handedOut && !now.Before(ready):
		rotation.Signing = wanted
	case !sound(state.Signing, roots, now) && sound(wanted, roots, now):
		rotation.Signing = wanted
	case request != "" && handedOut && sound(wanted, roots, now):
		rotation.Signing = wanted
		if request == Proceed {
			rotation.Request = ""
		}
	default:
		rotation.Phase = Distributing
		if handedOut {
			rotation.Due = ready
		}
	}

	signs := installed.Cert == rotation.Signing.Cert
	roots = retire(roots, rotation.Signing, wanted, signs, now)
	rotation.Roots = roots
	if signs && slices.EqualFunc(present, roots, sameCertificate) {
		rotation.Roots = drop(roots, rotation.Request, now)
	}
	if len(rotation.Roots) < len(roots) {
		rotation.Dropped = notYet
	}
	rotation.Roots = forget(rotation.Roots, now)
	if rotation.Phase == "" {
		for _, root := range rotation.Roots {
			if due := root.end(rotation.Request, now); !root.Retired.IsZero() && due.After(rotation.Due) {
				rotation.Phase, rotation.Due = Retiring, due
			}
		}
	}
	if !rotation.Due.Before(notYet) {
		rotation.Due = time.Time{}
	}
	if rotation.Phase == "" {
		rotation.Idle = request != "" && rotation.Signing == state.Signing && len(rotation.Roots) == len(roots)
		if !rotation.Idle || request != Emergency {
			rotation.Request = ""
		}
	}
	return rotation
}

func sameCertificate(a, b Root) bool { return a.Certificate == b.Certificate }

// has tells whether a certificate is among roots.
func has(roots []Root, certificate string) bool {
	return slices.ContainsFunc(roots, func(root Root) bool { return root.Certificate == certificate })
}

// confirm dates what has reached Secret cacerts, which holds present.
func confirm(roots []Root, dropped time.Time, present []Root, now time.Time) ([]Root, time.Time) {
	for index, root := range roots {
		if root.Since.Equal(notYet) && has(present, root.Certificate) {
			roots[index].Since = now
		}
	}
	remains := slices.ContainsFunc(present, func(root Root) bool { return !has(roots, root.Certificate) })
	if dropped.Equal(notYet) && !remains {
		dropped = now
	}
	return roots, dropped
}

// everTrusted are the roots of a bundle that everybody has.
func everTrusted(bundle string) []Root {
	var roots []Root
	for _, certificate := range splitRoots(bundle) {
		roots = append(roots, Root{Certificate: certificate})
	}
	return roots
}

// handOut adds the roots of wanted that are not trusted yet. When there are too
// many, they wait until others have gone.
func handOut(roots []Root, wanted Bundle) []Root {
	more := slices.Clone(roots)
	for _, certificate := range splitRoots(wanted.Root) {
		if !has(more, certificate) {
			more = append(more, Root{Certificate: certificate, Since: notYet})
		}
	}
	if len(more) > maxTrusted {
		return roots
	}
	return more
}

// readyAt is when everybody has roots that authority verifies up to.
func readyAt(authority Bundle, roots []Root, now time.Time) time.Time {
	byAge := slices.Clone(roots)
	slices.SortStableFunc(byAge, func(a, b Root) int { return a.Since.Compare(b.Since) })
	for count := range byAge {
		if sound(authority, byAge[:count+1], now) {
			if since := byAge[count].Since; !since.IsZero() {
				return since.Add(Distribution)
			}
			return time.Time{}
		}
	}
	// Its root is not handed out yet: another one has just gone, or there are too many.
	return notYet
}

// sound tells whether authority is in force and verifies up to roots, however many.
func sound(authority Bundle, roots []Root, now time.Time) bool {
	authority.Root = joinRoots(roots)
	return authority.Root != "" && authority.check(now, math.MaxInt) == nil
}

// retire notes since when a root is needed by neither of the two CAs: since the
// one that is to sign does so.
func retire(roots []Root, signing, wanted Bundle, signs bool, now time.Time) []Root {
	needed := append(splitRoots(signing.Root), splitRoots(wanted.Root)...)
	for index, root := range roots {
		switch {
		case slices.Contains(needed, root.Certificate):
			roots[index].Retired = time.Time{}
		case signs && (root.Retired.IsZero() || root.Retired.Equal(notYet)):
			roots[index].Retired = now
		case root.Retired.IsZero():
			roots[index].Retired = notYet
		}
	}
	return roots
}

// end is until when a retired root is trusted.
func (r Root) end(request Request, now time.Time) time.Time {
	if request != "" || r.expired(now) {
		return r.Retired.Add(settling)
	}
	return r.Retired.Add(Overlap)
}

// drop leaves out roots whose time is over, from both ends of the list only:
// istiod finds what remains in what it had (see settling) when there is no gap.
func drop(roots []Root, request Request, now time.Time) []Root {
	if slices.ContainsFunc(roots, func(root Root) bool { return now.Before(root.Since.Add(settling)) }) {
		return roots
	}
	over := func(root Root) bool {
		return !root.Retired.IsZero() && !now.Before(root.end(request, now))
	}
	for len(roots) > 0 && over(roots[0]) {
		roots = roots[1:]
	}
	for len(roots) > 0 && over(roots[len(roots)-1]) {
		roots = roots[:len(roots)-1]
	}
	return roots
}

// forget takes away the dates that do not matter any more.
func forget(roots []Root, now time.Time) []Root {
	for index, root := range roots {
		if !now.Before(root.Since.Add(Distribution)) {
			roots[index].Since = time.Time{}
		}
	}
	return roots
}
