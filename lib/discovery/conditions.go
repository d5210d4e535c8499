package discovery

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/peer"
)

const maxMessage = 1024

// withOwnStatus is a copy of the resource whose status may be changed.
func withOwnStatus(resource v1alpha1.Peer) v1alpha1.Peer {
	updated := resource.ShallowCopy()
	status := updated.PeerStatus()
	status.Conditions = slices.Clone(status.Conditions)
	status.ObservedGeneration = resource.GetGeneration()
	return updated
}

// setStatus reports the outcome of the poll in the resource's status.
func (p *poll) setStatus() {
	set := conditionSetter(p.resource, p.Now)
	set(v1alpha1.ConditionAccepted, metav1.ConditionTrue, ReasonAccepted, p.kind.terms().accepted)
	identified := "The peer's identity is known."
	if p.rootProblem != nil {
		identified = fmt.Sprintf("The peer's identity is known; what is signed under some of its roots is not trusted: %v.", p.rootProblem)
	}
	setFetched(set, v1alpha1.ConditionPublicMetadata, p.public.err, identified)
	if !p.public.failed() {
		setFetched(set, v1alpha1.ConditionPrivateMetadata, p.private.err, p.privateMessage())
	}
	p.kind.describe(set)
	for _, request := range []outcome{p.public, p.private, p.api} {
		if request.err != nil {
			set(v1alpha1.ConditionReady, metav1.ConditionFalse, reasonOf(request.err), request.err.Error())
			return
		}
	}
	ready := p.kind.summary()
	set(v1alpha1.ConditionReady, ready.status, ready.reason, ready.message)
}

// privateMessage says what of the private document is known; that of an unchanged document stays.
func (p *poll) privateMessage() string {
	known := fmt.Sprintf("The peer's %s are known", p.kind.terms().offer)
	if p.gatewayProblem != nil {
		return fmt.Sprintf("%s; some gateways are not used: %v.", known, p.gatewayProblem)
	}
	before := meta.FindStatusCondition(p.resource.PeerStatus().Conditions, v1alpha1.ConditionPrivateMetadata)
	if !p.private.failed() && p.private.answer.NotModified && before != nil && before.Status == metav1.ConditionTrue {
		return before.Message
	}
	return known + "."
}

// verdict is what a condition says.
type verdict struct {
	status          metav1.ConditionStatus
	reason, message string
}

func ready(format string, args ...any) verdict {
	return verdict{metav1.ConditionTrue, ReasonJoined, fmt.Sprintf(format, args...)}
}

func notReady(reason, message string) verdict {
	return verdict{metav1.ConditionFalse, reason, message}
}

func setFetched(set setCondition, conditionType string, err error, success string) {
	if err == nil {
		set(conditionType, metav1.ConditionTrue, ReasonFetched, success)
		return
	}
	set(conditionType, metav1.ConditionFalse, reasonOf(err), err.Error())
}

// withRejection returns the resource with the status of one that is not accepted.
func withRejection(resource v1alpha1.Peer, rejection Rejection, now time.Time) v1alpha1.Peer {
	rejected := Disabled(resource, rejection.Reason, rejection.Message, now)
	conditionSetter(rejected, now)(v1alpha1.ConditionAccepted, metav1.ConditionFalse, rejection.Reason, rejection.Message)
	return rejected
}

// TooLarge returns the resource with what was learned of the peer before, since
// with its present answers the resource would have size bytes, more than limit.
func TooLarge(resource, updated v1alpha1.Peer, size, limit int, now time.Time) v1alpha1.Peer {
	retained := withOwnStatus(resource)
	retained.PeerStatus().Conditions = slices.Clone(updated.PeerStatus().Conditions)
	message := fmt.Sprintf("with the peer's answers this resource would have %d bytes; the limit is %d. What was learned before stays in force: "+
		"publish fewer services there, or make spec.metadata.ca smaller here.", size, limit)
	set := conditionSetter(retained, now)
	set(v1alpha1.ConditionPrivateMetadata, metav1.ConditionFalse, string(peer.TooLarge), message)
	set(v1alpha1.ConditionReady, metav1.ConditionFalse, string(peer.TooLarge), message)
	return retained
}

// Unwritten returns the resource as not ready, for Events and metrics: the API server
// has rejected its status.
func Unwritten(resource v1alpha1.Peer, failure error, now time.Time) v1alpha1.Peer {
	unwritten := withOwnStatus(resource)
	conditionSetter(unwritten, now)(v1alpha1.ConditionReady, metav1.ConditionFalse, ReasonStatusNotWritten, failure.Error())
	return unwritten
}

// Disabled returns the resource with the status of one that nothing acts on: its
// kind or the module is switched off.
func Disabled(resource v1alpha1.Peer, reason, message string, now time.Time) v1alpha1.Peer {
	disabled := withOwnStatus(resource)
	if federation, ok := disabled.(*v1alpha1.IstioFederation); ok {
		federation.Status.ImportedServices = new(int32)
	}
	set := conditionSetter(disabled, now)
	set(v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message)
	if meta.FindStatusCondition(disabled.PeerStatus().Conditions, v1alpha1.ConditionDataplane) != nil {
		set(v1alpha1.ConditionDataplane, metav1.ConditionUnknown, reason, message)
	}
	return disabled
}

// setCondition returns whether the condition has changed.
type setCondition func(conditionType string, status metav1.ConditionStatus, reason, message string) bool

// conditionSetter follows the Kubernetes API conventions: the transition time
// changes only with the status.
func conditionSetter(resource v1alpha1.Peer, now time.Time) setCondition {
	var set setCondition
	set = func(conditionType string, status metav1.ConditionStatus, reason, message string) bool {
		if alias := otherNames[conditionType]; alias != "" {
			set(alias, status, reason, message)
		}
		return meta.SetStatusCondition(&resource.PeerStatus().Conditions, metav1.Condition{
			Type: conditionType, Status: status, Reason: reason,
			Message:            strings.ToValidUTF8(message[:min(len(message), maxMessage)], ""),
			ObservedGeneration: resource.GetGeneration(),
			LastTransitionTime: metav1.NewTime(now.Truncate(time.Second)),
		})
	}
	return set
}

// otherNames are those by which Deckhouse's own module calls conditions of this one.
var otherNames = map[string]string{
	v1alpha1.ConditionPublicMetadata:  v1alpha1.ConditionPublicExchange,
	v1alpha1.ConditionPrivateMetadata: v1alpha1.ConditionPrivateExchange,
}

// contact is the new value of a last-fetch timestamp: at most one change a
// minute, so that an unchanged peer costs at most one write a minute.
func contact(last *metav1.Time, now time.Time) *metav1.Time {
	if last != nil && last.Truncate(time.Minute).Equal(now.Truncate(time.Minute)) {
		return last
	}
	changed := metav1.NewTime(now.UTC().Truncate(time.Second))
	return &changed
}

func isUnreachable(conditions []metav1.Condition) bool {
	ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	return ready != nil && ready.Reason == string(peer.Unreachable)
}
