package ca

import (
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
	// (handleEvent in pilot/pkg/bootstrap/istio_ca.go, 1.25 to 1.29) takes new roots only as a bundle that contains
	// what it had, or is contained in that: it must see the bundle in between, and the kubelet takes a minute or two to
	// bring a changed Secret into its Pod.
	settling = 5 * time.Minute
)

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
	// Dropped is when a root ceased to be trusted last; zero when that does not matter any more.
	Dropped time.Time `json:"dropped,omitzero"`
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
	// Due is when the phase ends by itself.
	Due time.Time
	// Request is what is still to be done of the request; empty when it is fulfilled or there was nothing to do.
	Request Request
}

// Rotate brings state nearer to wanted, a sound bundle, without a moment in which
// two workloads could not verify each other: first the new root is trusted
// everywhere, then the new CA signs, then the former root goes. A CA whose roots
// are trusted already signs at once, and so does one that replaces a CA that is
// not sound (any more): certificates of that verify nowhere.
//
// It is level-triggered: settings that change on the way only change what is wanted.
func Rotate(state State, wanted Bundle, request Request, now time.Time) Rotation {
	wanted = wanted.withDefaults()
	if state.Signing.IsZero() {
		state = State{Signing: wanted}
	}
	roots := state.Roots
	own := everTrusted(state.Signing.Root)
	if len(roots) == 0 || !sound(state.Signing, roots, now) && sound(state.Signing, own, now) {
		roots = own // there is no record, or it is another CA's
	}
	dropped := state.Dropped
	if !now.Before(dropped.Add(settling)) {
		dropped = time.Time{}
		roots = handOut(roots, wanted, now)
	}
	if !request.Known() {
		request = ""
	}

	rotation := Rotation{State: State{Signing: state.Signing, Trust: Trust{Dropped: dropped}}, Request: request}
	ready := readyAt(wanted, roots, now)
	switch {
	case state.Signing == wanted, !now.Before(ready):
		rotation.Signing = wanted
	case !sound(state.Signing, roots, now) && sound(wanted, roots, now):
		rotation.Signing = wanted
	case request != "" && sound(wanted, roots, now):
		rotation.Signing = wanted
		if request == Proceed {
			rotation.Request = ""
		}
	default:
		rotation.Phase, rotation.Due = Distributing, ready
	}

	roots = retire(roots, rotation.Signing, wanted, now)
	rotation.Roots = drop(roots, rotation.Request, now)
	if len(rotation.Roots) < len(roots) {
		rotation.Dropped = now
	}
	rotation.Roots = forget(rotation.Roots, now)
	if rotation.Phase == "" {
		for _, root := range rotation.Roots {
			if due := root.end(rotation.Request, now); !root.Retired.IsZero() && due.After(rotation.Due) {
				rotation.Phase, rotation.Due = Retiring, due
			}
		}
	}
	if rotation.Phase == "" {
		rotation.Request = ""
	}
	return rotation
}

// everTrusted are the roots of a bundle that everybody has.
func everTrusted(bundle string) []Root {
	var roots []Root
	for _, certificate := range splitRoots(bundle) {
		roots = append(roots, Root{Certificate: certificate})
	}
	return roots
}

// handOut adds the roots of wanted that are not trusted yet.
func handOut(roots []Root, wanted Bundle, now time.Time) []Root {
	roots = slices.Clone(roots)
	for _, certificate := range splitRoots(wanted.Root) {
		if !slices.ContainsFunc(roots, func(root Root) bool { return root.Certificate == certificate }) {
			roots = append(roots, Root{Certificate: certificate, Since: now})
		}
	}
	return roots
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
	// Its root is not handed out yet: another one has just gone.
	return now.Add(settling + Distribution)
}

func sound(authority Bundle, roots []Root, now time.Time) bool {
	authority.Root = joinRoots(roots)
	return authority.Root != "" && authority.Check(now) == nil
}

// retire notes since when a root is needed by neither of the two CAs.
func retire(roots []Root, signing, wanted Bundle, now time.Time) []Root {
	needed := append(splitRoots(signing.Root), splitRoots(wanted.Root)...)
	for index, root := range roots {
		switch {
		case slices.Contains(needed, root.Certificate):
			roots[index].Retired = time.Time{}
		case root.Retired.IsZero():
			roots[index].Retired = now
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
