package discovery

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/federation"
	"github.com/deckhouse-mesh/istio/lib/peer"
)

// Reasons of conditions that are True, and of those that only the summary has.
const (
	ReasonAccepted       = "Accepted"
	ReasonFetched        = "Fetched"
	ReasonAllAccepted    = "AllAccepted"
	ReasonSomeRejected   = "SomeRejected"
	ReasonJoined         = "Joined"
	ReasonNoGateways     = "PeerHasNoIngressGateway"
	ReasonDisabled       = "FederationDisabled"
	ReasonModuleDisabled = "ModuleDisabled"

	maxMessage = 1024
)

// status puts the outcome of a visit into words.
func (v *visit) status() v1alpha1.IstioFederationStatus {
	status := v.federation.Status
	status.Conditions = slices.Clone(status.Conditions)
	status.ObservedGeneration = v.federation.Generation
	status.MetadataCache = v.cache
	status.RejectedServices = v.rejected

	imported := v.importable()
	status.ImportedServices = &imported

	set := conditionSetter(&status.Conditions, v.federation.Generation, v.now)
	set(v1alpha1.ConditionAccepted, metav1.ConditionTrue, ReasonAccepted, "The spec contradicts neither this cluster nor another resource.")
	identified := "The peer's identity is known."
	if v.rootProblem != nil {
		identified = fmt.Sprintf("The peer's identity is known; what is signed under some of its roots is not trusted: %v.", v.rootProblem)
	}
	setFetched(set, v1alpha1.ConditionPublicMetadata, v.publicError, identified)
	if v.publicError == nil {
		known := "The peer's gateways and published services are known."
		before := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionPrivateMetadata)
		if v.privateError == nil && v.privateAnswer.NotModified && before != nil && before.Status == metav1.ConditionTrue {
			known = before.Message // what was said of an unchanged document still holds
		}
		if v.gatewayProblem != nil {
			known = fmt.Sprintf("The peer's gateways and published services are known; some gateways are not used: %v.", v.gatewayProblem)
		}
		setFetched(set, v1alpha1.ConditionPrivateMetadata, v.privateError, known)
	}
	// Without an answer that was judged, what was said of the last one stays.
	if v.cache.Private != nil && v.publicError == nil && v.privateError == nil {
		if len(v.rejected) == 0 {
			set(v1alpha1.ConditionServices, metav1.ConditionTrue, ReasonAllAccepted, "Every service that the peer publishes is accepted.")
		} else {
			set(v1alpha1.ConditionServices, metav1.ConditionFalse, servicesReason(v.rejected), v.describeRejected())
		}
	}
	state, reason, message := v.summary(imported)
	set(v1alpha1.ConditionReady, state, reason, message)
	return status
}

// summary is the Ready condition: the first thing that keeps the join from
// working, or that all is well. Services this cluster cannot carry do not
// count against it; services that speak for somebody else do.
func (v *visit) summary(imported int32) (metav1.ConditionStatus, string, string) {
	switch {
	case v.publicError != nil:
		return metav1.ConditionFalse, reasonOf(v.publicError), v.publicError.Error()
	case v.privateError != nil:
		return metav1.ConditionFalse, reasonOf(v.privateError), v.privateError.Error()
	}
	for _, rejected := range v.rejected {
		if federation.BreaksTrust(rejected) {
			return metav1.ConditionFalse, servicesReason(v.rejected), v.describeRejected()
		}
	}
	if v.cache.Private == nil {
		return metav1.ConditionFalse, ReasonInvalidPrivateMetadata, "The peer's private metadata was never fetched."
	}
	if len(v.cache.Private.IngressGateways) == 0 && len(v.cache.Private.PublicServices) > 0 {
		return metav1.ConditionFalse, ReasonNoGateways, "The peer publishes services but no address of its ingress gateway: " +
			"there, check that Service d8-istio/ingressgateway has an external address, or set alliance.ingressGateway.advertise."
	}
	return metav1.ConditionTrue, ReasonJoined, fmt.Sprintf("Services imported: %d.", imported)
}

// importable counts the services that become ServiceEntries.
func (v *visit) importable() int32 {
	if v.cache.Private == nil || len(v.cache.Private.IngressGateways) == 0 || v.cache.TrustDomain != v.federation.Spec.TrustDomain {
		return 0
	}
	return int32(len(federation.Import(v.cache.Private.PublicServices, v.federation.Spec.Import)))
}

func setFetched(set setCondition, conditionType string, err error, success string) {
	if err == nil {
		set(conditionType, metav1.ConditionTrue, ReasonFetched, success)
		return
	}
	set(conditionType, metav1.ConditionFalse, reasonOf(err), err.Error())
}

func servicesReason(rejected []v1alpha1.RejectedService) string {
	for _, service := range rejected {
		if federation.BreaksTrust(service) {
			return service.Reason
		}
	}
	return ReasonSomeRejected
}

// describeRejected names the first few; the whole list is in status.rejectedServices.
func (v *visit) describeRejected() string {
	const named = 3
	rejected := v.rejected
	texts := make([]string, 0, named)
	for _, service := range rejected[:min(len(rejected), named)] {
		texts = append(texts, fmt.Sprintf("%s %s", service.Hostname, service.Message))
	}
	more := ""
	if v.rejectedTotal > named {
		more = fmt.Sprintf("; and %d more, see status.rejectedServices", v.rejectedTotal-named)
	}
	return fmt.Sprintf("%d rejected: %s%s.", v.rejectedTotal, strings.Join(texts, "; "), more)
}

func refusedStatus(resource v1alpha1.IstioFederation, refusal Refusal, now time.Time) v1alpha1.IstioFederationStatus {
	status := resource.Status
	status.Conditions = slices.Clone(status.Conditions)
	status.ObservedGeneration = resource.Generation
	none := int32(0)
	status.ImportedServices = &none
	set := conditionSetter(&status.Conditions, resource.Generation, now)
	set(v1alpha1.ConditionAccepted, metav1.ConditionFalse, refusal.Reason, refusal.Message)
	set(v1alpha1.ConditionReady, metav1.ConditionFalse, refusal.Reason, refusal.Message)
	return status
}

// Switched returns the status of a resource whose feature or module is off.
func Switched(resource v1alpha1.IstioFederation, reason, message string, now time.Time) v1alpha1.IstioFederationStatus {
	status := resource.Status
	status.Conditions = slices.Clone(status.Conditions)
	status.ObservedGeneration = resource.Generation
	none := int32(0)
	status.ImportedServices = &none
	set := conditionSetter(&status.Conditions, resource.Generation, now)
	set(v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message)
	return status
}

type setCondition func(conditionType string, status metav1.ConditionStatus, reason, message string)

// conditionSetter follows the Kubernetes API conventions: the transition time
// changes only with the status.
func conditionSetter(conditions *[]metav1.Condition, generation int64, now time.Time) setCondition {
	return func(conditionType string, status metav1.ConditionStatus, reason, message string) {
		meta.SetStatusCondition(conditions, metav1.Condition{
			Type: conditionType, Status: status, Reason: reason,
			Message:            strings.ToValidUTF8(message[:min(len(message), maxMessage)], ""),
			ObservedGeneration: generation,
			LastTransitionTime: metav1.NewTime(now.Truncate(time.Second)),
		})
	}
}

// contact is the new value of a last-fetch timestamp: at most one change a
// minute, so that a quiet peer costs at most one write a minute.
func contact(last *metav1.Time, now time.Time) *metav1.Time {
	if last != nil && last.Truncate(time.Minute).Equal(now.Truncate(time.Minute)) {
		return last
	}
	changed := metav1.NewTime(now.UTC().Truncate(time.Second))
	return &changed
}

func currentETag(answer *peer.Response, held string) string {
	if answer.NotModified && answer.ETag == "" {
		return held
	}
	return answer.ETag
}

func isUnreachable(conditions []metav1.Condition) bool {
	ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	return ready != nil && ready.Reason == string(peer.Unreachable)
}
