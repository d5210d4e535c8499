package discovery

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/peer"
)

// Reasons of conditions that only IstioMulticlusters have.
const (
	ReasonAPIAnswers           = "Answers"
	ReasonAPINotAsked          = "NotAsked"
	ReasonAPIUnreachable       = "PeerAPIUnreachable"
	ReasonAPINotTrusted        = "PeerAPICertificateNotTrusted"
	ReasonAPIRefuses           = "PeerAPIRefusesThisCluster"
	ReasonAPIUnexpectedAnswer  = "PeerAPIUnexpectedAnswer"
	ReasonMulticlusterDisabled = "MulticlusterDisabled"
)

// apiProblems tells for each way in which asking the API can fail what a person can do.
var apiProblems = map[peer.Reason]struct{ reason, hint string }{
	peer.Unreachable:     {ReasonAPIUnreachable, "check DNS, firewalls, and that api-proxy runs there; istiod goes on with what it has read"},
	peer.TLS:             {ReasonAPINotTrusted, "spec.metadata.ca must hold the CA of the HTTPS certificate of the peer's API proxy, too"},
	peer.Unauthorized:    {ReasonAPIRefuses, "create the IstioMulticluster for this cluster in the peer; it takes effect within a minute"},
	peer.ClockDiffers:    {ReasonAPIRefuses, "compare the clocks of both clusters, and have both synchronized (NTP)"},
	peer.InvalidEndpoint: {ReasonAPIUnexpectedAnswer, "the peer's apiHost cannot be used; look at ConfigMap d8-istio/metadata-exporter there"},
}

func apiError(endpoint string, err error) error {
	problem := struct{ reason, hint string }{ReasonAPIUnexpectedAnswer, "check that the name leads to the peer's api-proxy, and look at its logs"}
	cause := err.Error()
	var failed *peer.Error
	if errors.As(err, &failed) {
		if known, ok := apiProblems[failed.Reason]; ok {
			problem = known
		}
		cause = failed.Cause()
	}
	return &judgement{problem.reason, fmt.Sprintf("GET %s/%s: %s (%s)", endpoint, versionPath, cause, problem.hint)}
}

// status puts the outcome of a visit into words.
func (v *meshVisit) status() v1alpha1.IstioMulticlusterStatus {
	status := v.resource.Status
	status.Conditions = slices.Clone(status.Conditions)
	status.ObservedGeneration = v.resource.Generation
	status.MetadataCache = v.cache

	set := conditionSetter(&status.Conditions, v.resource.Generation, v.now)
	set(v1alpha1.ConditionAccepted, metav1.ConditionTrue, ReasonAccepted, "Nothing in the resource contradicts this cluster.")
	identified := "The peer's identity is known."
	if v.rootProblem != nil {
		identified = fmt.Sprintf("The peer's identity is known; what is signed under some of its roots is not trusted: %v.", v.rootProblem)
	}
	setFetched(set, v1alpha1.ConditionPublicMetadata, v.publicError, identified)
	if v.publicError == nil {
		known := "The peer's gateways, network and API are known."
		before := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionPrivateMetadata)
		if v.privateError == nil && v.privateAnswer.NotModified && before != nil && before.Status == metav1.ConditionTrue {
			known = before.Message // what was said of an unchanged document still holds
		}
		if v.gatewayProblem != nil {
			known = fmt.Sprintf("The peer's gateways, network and API are known; some gateways are not used: %v.", v.gatewayProblem)
		}
		setFetched(set, v1alpha1.ConditionPrivateMetadata, v.privateError, known)
	}
	switch {
	case v.apiError != nil:
		set(v1alpha1.ConditionAPI, metav1.ConditionFalse, reasonOf(v.apiError), v.apiError.Error())
	case !v.asked:
		set(v1alpha1.ConditionAPI, metav1.ConditionUnknown, ReasonAPINotAsked,
			"The peer's API server is asked when the peer has said who it is and where its API is; istiod goes on with what it has read.")
	default:
		set(v1alpha1.ConditionAPI, metav1.ConditionTrue, ReasonAPIAnswers, "The peer's API server answers this cluster through the peer's API proxy.")
	}
	state, reason, message := v.summary()
	set(v1alpha1.ConditionReady, state, reason, message)
	return status
}

// summary is the Ready condition: the first thing that keeps the join from working, or that all is well.
func (v *meshVisit) summary() (metav1.ConditionStatus, string, string) {
	for _, err := range []error{v.publicError, v.privateError, v.apiError} {
		if err != nil {
			return metav1.ConditionFalse, reasonOf(err), err.Error()
		}
	}
	if v.resource.Spec.EntersByGateway() && len(v.cache.Private.IngressGateways) == 0 {
		return metav1.ConditionFalse, ReasonNoGateways, "The peer publishes no address of its ingress gateway, so its Pods cannot be reached and are left out: " +
			"there, check that some IstioMulticluster has enableIngressGateway, that Service d8-istio/ingressgateway has an external address, or set alliance.ingressGateway.advertise. " +
			"Where Pods reach each other directly, set spec.enableIngressGateway to false on both sides."
	}
	return metav1.ConditionTrue, ReasonJoined, fmt.Sprintf("Network %s is part of the mesh.", v.cache.Private.NetworkName)
}

func refusedMulticluster(resource v1alpha1.IstioMulticluster, refusal Refusal, now time.Time) v1alpha1.IstioMulticlusterStatus {
	status := resource.Status
	status.Conditions = slices.Clone(status.Conditions)
	status.ObservedGeneration = resource.Generation
	set := conditionSetter(&status.Conditions, resource.Generation, now)
	set(v1alpha1.ConditionAccepted, metav1.ConditionFalse, refusal.Reason, refusal.Message)
	set(v1alpha1.ConditionReady, metav1.ConditionFalse, refusal.Reason, refusal.Message)
	return status
}

// SwitchedMulticluster returns the status of a resource whose feature or module is off.
func SwitchedMulticluster(resource v1alpha1.IstioMulticluster, reason, message string, now time.Time) v1alpha1.IstioMulticlusterStatus {
	status := resource.Status
	status.Conditions = slices.Clone(status.Conditions)
	status.ObservedGeneration = resource.Generation
	set := conditionSetter(&status.Conditions, resource.Generation, now)
	set(v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message)
	return status
}
