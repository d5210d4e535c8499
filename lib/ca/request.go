package ca

import "time"

// rootFileRenewal is how long Pods may have the former file after istiod changed ConfigMap istio-ca-root-cert, with which
// proxies verify istiod. A kubelet looks at each Pod once in a minute to a minute and a half (syncFrequency and its jitter, in pkg/kubelet/pod_workers.go),
// and where it does not watch ConfigMaps (configMapAndSecretChangeDetectionStrategy: Cache) at a copy that is up to a minute old.
// The half minute that is left is for istiod, which writes the ConfigMaps of thousands of namespaces one by one.
const rootFileRenewal = 3 * time.Minute

// Request is what a person asks of a rotation that is going on.
type Request string

const (
	// Proceed ends the present phase, once, as soon as no Pod loses requests by it.
	Proceed Request = "proceed"
	// ProceedNow is Proceed of a person who has checked the root files of all Pods: it does not wait for their renewal.
	ProceedNow Request = "proceed-now"
	// Emergency goes through all phases as fast as istiod can follow: for a CA whose key is in wrong hands.
	Emergency Request = "emergency"
)

// Known is false for a request that means nothing.
func (r Request) Known() bool { return r == Proceed || r == ProceedNow || r == Emergency }

// Deferral is why a request does not end a phase now. The request stays, and is followed when the reason has gone.
type Deferral string

const (
	// NotInstalled means that Secret cacerts does not hold what the phase begins with.
	NotInstalled Deferral = "NotInstalled"
	// NotHandedOut means that istiod does not hand out the new root yet. The phase ends by itself nevertheless.
	NotHandedOut Deferral = "NotHandedOut"
	// RenewingFiles means that until Due, kubelets renew the files with which proxies verify istiod.
	RenewingFiles Deferral = "RenewingFiles"
	// Settling means that until Due, every istiod gets both roots at once: it would not accept the new ones alone.
	Settling Deferral = "Settling"
)

// hastened is when phase Distributing, which ends at ready by itself, ends by
// request, and why not now. ready is notYet while the new root is not in Secret cacerts.
func (t *turn) hastened(ready time.Time) (due time.Time, deferral Deferral) {
	switch {
	case t.Request == "":
		return ready, ""
	case !ready.Before(notYet):
		return ready, NotInstalled
	case t.Request != Proceed:
		return t.now, ""
	}
	handedOut := knownSince(t.wanted, t.Roots, t.now, Root.handedOutSince)
	if !handedOut.Before(notYet) {
		return ready, NotHandedOut
	}
	if renewed := handedOut.Add(rootFileRenewal); renewed.Before(ready) {
		return renewed, RenewingFiles
	}
	return ready, RenewingFiles
}

// settlement is why request does not end phase Retiring before due.
func settlement(request Request, due time.Time) Deferral {
	switch {
	case request == "":
		return ""
	case !due.Before(notYet):
		return NotInstalled
	default:
		return Settling
	}
}
