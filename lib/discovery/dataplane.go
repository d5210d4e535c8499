package discovery

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/federation"
	"github.com/deckhouse-mesh/istio/lib/healthcheck"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// Reasons of the condition DataplaneConnectionReady, besides those of healthcheck.Result.
const (
	ReasonHealthcheckDisabled = "HealthcheckDisabled"
	ReasonNotChecked          = "NotChecked"
	ReasonNotPublished        = "NotPublished"
	ReasonNotImported         = "NotImported"
)

// Dataplane judges what alliance-healthcheck reports of calls to peers through the mesh.
type Dataplane struct {
	// Enabled is false when nothing calls peers.
	Enabled bool
	Reports []healthcheck.Report
	Self    Self
	Now     time.Time
}

func unknown(reason, format string, args ...any) verdict {
	return verdict{metav1.ConditionUnknown, reason, fmt.Sprintf(format, args...)}
}

// Apply returns the resource with the condition DataplaneConnectionReady: the
// given one when that is so already.
func (d Dataplane) Apply(resource v1alpha1.Peer) v1alpha1.Peer {
	found := d.judge(resource)
	// What was observed of the spec is the poll's to say.
	updated := resource.ShallowCopy()
	updated.PeerStatus().Conditions = slices.Clone(updated.PeerStatus().Conditions)
	if !conditionSetter(updated, d.Now)(v1alpha1.ConditionDataplane, found.status, found.reason, found.message) {
		return resource
	}
	return updated
}

func (d Dataplane) judge(resource v1alpha1.Peer) verdict {
	public := knownPublic(resource)
	switch {
	case !d.Enabled:
		return unknown(ReasonHealthcheckDisabled, "Nothing calls the peer through the mesh: the setting alliance.healthcheck.enabled is false, or no version of Istio is installed.")
	case public == nil || meta.IsStatusConditionFalse(resource.PeerStatus().Conditions, v1alpha1.ConditionAccepted):
		return unknown(ReasonNotChecked, "The peer is called through the mesh once its identity is known and the resource is accepted.")
	}
	host := d.hostname(resource, public)
	if host == "" {
		return unknown(ReasonNotPublished, "No Service can be named after the peer's clusterUUID %.70q, so it has no alliance-healthcheck to call.", public.ClusterUUID)
	}
	if peer, ok := resource.(*v1alpha1.IstioFederation); ok {
		if obstacle, found := publicationObstacle(peer, host); found {
			return obstacle
		}
	}
	result, known := healthcheck.Of(d.Reports, healthcheck.Key(resource.PeerKind(), resource.GetName()), public.ClusterUUID, d.Now)
	switch {
	case !known:
		return unknown(ReasonNotChecked, "No Pod of alliance-healthcheck has reported on this peer in the last %s: look at Deployment d8-istio/alliance-healthcheck.", healthcheck.StaleAfter)
	case result.Answers():
		return verdict{metav1.ConditionTrue, healthcheck.ReasonAnswers, "The peer answers calls through the mesh."}
	case result.Reason == healthcheck.ReasonNameUnknown && resource.PeerKind() == v1alpha1.IstioMulticlusterKind:
		// No document says whether the peer has the Service: it may be of a release without it.
		return unknown(ReasonNotPublished, "The mesh here knows no Service %s of the peer: the peer runs no alliance-healthcheck, or istiod does not read its Services, of which the condition %s says more.",
			host, v1alpha1.ConditionAPI)
	case result.Failed():
		return verdict{metav1.ConditionFalse, result.Reason, "Calls through the mesh fail: " + result.Message}
	default:
		return unknown(result.Reason, "Nothing is known of the way to the peer: %s", result.Message)
	}
}

// publicationObstacle is why the host is not in this cluster's mesh, or it is not known whether it is; false when it is.
func publicationObstacle(peer *v1alpha1.IstioFederation, host string) (verdict, bool) {
	private := peer.Status.MetadataCache.Private
	if private == nil || private.PublicServices == nil {
		return unknown(ReasonNotChecked, "The peer is called through the mesh once it is known which services it publishes."), true
	}
	published := slices.IndexFunc(private.PublicServices, func(service metadata.PublicService) bool { return service.Hostname == host })
	switch {
	case published < 0:
		return unknown(ReasonNotPublished, "The peer does not publish %s, so nothing there can be called. "+
			"Its release of the module may have none; else check there that Service d8-istio/alliance-healthcheck-<clusterUUID> has the label %s.", host, v1alpha1.PublicServiceLabel), true
	case len(federation.Import(private.PublicServices[published:published+1], peer.Spec.Import)) == 0:
		return unknown(ReasonNotImported, "spec.import leaves the peer's %s out; add %q to it to have the way to the peer checked.", host, healthcheck.Name+"-*."+v1alpha1.Namespace), true
	case len(private.IngressGateways) == 0:
		return verdict{metav1.ConditionFalse, healthcheck.ReasonGatewayUnreachable, "The peer publishes no address of its ingress gateway: " +
			"there, check that Service d8-istio/ingressgateway has an external address, or set alliance.ingressGateway.advertise."}, true
	}
	return verdict{}, false
}

func (d Dataplane) hostname(resource v1alpha1.Peer, public *metadata.Public) string {
	domain := d.Self.TrustDomain
	if peer, ok := resource.(*v1alpha1.IstioFederation); ok {
		domain = peer.Spec.TrustDomain
	}
	return healthcheck.Hostname(public.ClusterUUID, domain)
}
