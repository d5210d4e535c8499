package discovery

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/federation"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/peer"
)

// federationPoll is what is particular to the peer of an IstioFederation: services.
type federationPoll struct {
	*poll
	resource *v1alpha1.IstioFederation

	// judged is the private document as far as it may be used; rejected are services that may not.
	judged   *v1alpha1.CachedFederation
	rejected []v1alpha1.RejectedService
	// rejectedTotal counts more than rejected can name.
	rejectedTotal int
}

func newFederationPoll(p *poll, resource *v1alpha1.IstioFederation) *federationPoll {
	rejected := resource.Status.RejectedServices
	return &federationPoll{poll: p, resource: resource, rejected: rejected, rejectedTotal: len(rejected)}
}

func (f *federationPoll) terms() terms {
	return terms{
		trustDomain: f.resource.Spec.TrustDomain,
		document:    metadata.FederationDocument,
		accepted:    "The spec contradicts neither this cluster nor another resource.",
		offer:       "gateways and published services",
	}
}

func (f *federationPoll) rejectDomain(other string) error {
	return reject(ReasonTrustDomainMismatch,
		"the peer says its trust domain is %q, spec.trustDomain says %q: correct the one that is wrong.", other, f.resource.Spec.TrustDomain)
}

func (f *federationPoll) identified() {
	if f.resource.Status.MetadataCache.TrustDomain != f.resource.Spec.TrustDomain {
		// What was learned under another trust domain is of no use under this one.
		f.resource.Status.MetadataCache = v1alpha1.FederationCache{TrustDomain: f.resource.Spec.TrustDomain}
		f.rejected, f.rejectedTotal = nil, 0
	}
}

// complete is false after services were rejected: they are not in the cache, and
// the spec or this module may accept them by now.
func (f *federationPoll) complete() bool {
	private := f.resource.Status.MetadataCache.Private
	return private != nil && private.PublicServices != nil && len(f.rejected) == 0
}

func (f *federationPoll) judgePrivate(answer *peer.Response) (gatewayProblem, err error) {
	if f.judged = f.resource.Status.MetadataCache.Private; answer.NotModified && f.judged != nil {
		return f.withdrawOwnGateways(), nil
	}
	private, err := metadata.ParseFederation(answer.Body)
	if err != nil {
		return nil, invalid(ReasonInvalidPrivateMetadata, err)
	}
	return f.judge(private, len(answer.Body))
}

// withdrawOwnGateways removes gateways that were learned before it was known that
// they are this cluster's own addresses.
func (f *federationPoll) withdrawOwnGateways() (gatewayProblem error) {
	usable, problem := metadata.UsableGateways(f.judged.IngressGateways, f.Self.Network)
	if problem == nil {
		return nil
	}
	private := *f.judged
	private.IngressGateways = usable
	if err := f.Codec.Seal(&private); err != nil { // it was encoded before
		private.Digest = ""
	}
	f.judged = &private
	return problem
}

// judge separates what may be used of a peer's metadata from what is rejected.
func (f *federationPoll) judge(private *metadata.Federation, bytes int) (gatewayProblem, err error) {
	tooLarge := func(bytes int) error {
		return reject(string(peer.TooLarge),
			"the peer publishes %d services in %d bytes; the limits are %d services and %d bytes. What was learned before stays in force: publish fewer services there.",
			len(private.PublicServices), bytes, metadata.MaxServices, metadata.MaxCacheBytes)
	}
	if len(private.PublicServices) > metadata.MaxServices {
		return nil, tooLarge(bytes)
	}
	verdict := federation.Judge(private.PublicServices, f.resource.Spec.TrustDomain)
	gateways, gatewayProblem := metadata.UsableGateways(private.IngressGateways, f.Self.Network)
	if ports := countPorts(verdict.Accepted) * len(gateways); ports > metadata.MaxEndpointPorts {
		return nil, reject(string(peer.TooLarge),
			"the peer publishes services with %d ports, each counted once for each of its %d gateways; the limit is %d. What was learned before stays in force: publish fewer services or gateways there.",
			ports, len(gateways), metadata.MaxEndpointPorts)
	}
	judged := &v1alpha1.CachedFederation{IngressGateways: gateways, PublicServices: verdict.Accepted}
	if judged.PublicServices == nil {
		judged.PublicServices = []metadata.PublicService{}
	}
	var last []metadata.PublicService
	if f.judged != nil {
		last = f.judged.PublicServices
	}
	federation.RetainServiceAccounts(judged.PublicServices, last)
	if err := f.Codec.Seal(judged); err != nil {
		return nil, invalid(ReasonInvalidPrivateMetadata, err)
	}
	packed, err := f.Codec.Pack(*judged)
	if err != nil {
		return nil, invalid(ReasonInvalidPrivateMetadata, err)
	}
	encoded, err := json.Marshal(packed)
	if err != nil {
		return nil, invalid(ReasonInvalidPrivateMetadata, err)
	}
	if len(encoded) > metadata.MaxCacheBytes {
		return nil, tooLarge(len(encoded))
	}
	f.judged, f.rejected, f.rejectedTotal = judged, verdict.Rejected, verdict.RejectedTotal
	return gatewayProblem, nil
}

func countPorts(services []metadata.PublicService) (ports int) {
	for _, service := range services {
		ports += len(service.Ports)
	}
	return ports
}

func (f *federationPoll) store(networks) error {
	f.resource.Status.MetadataCache.Private = f.judged
	return nil
}

// askAPI asks nothing: federated clusters do not read each other's API.
func (f *federationPoll) askAPI(context.Context) error { return nil }

func (f *federationPoll) describe(set setCondition) {
	status := &f.resource.Status
	status.RejectedServices = f.rejected
	imported := int32(len(f.importable()))
	status.ImportedServices = &imported
	// Without a judged answer, the condition of the last one stays.
	switch {
	case f.private.failed():
	case len(f.rejected) == 0:
		set(v1alpha1.ConditionServices, metav1.ConditionTrue, ReasonAllAccepted, "Every service that the peer publishes is accepted.")
	default:
		set(v1alpha1.ConditionServices, metav1.ConditionFalse, servicesReason(f.rejected), f.describeRejected())
	}
}

// summary is ready in spite of services that this cluster cannot import; services
// that speak for another cluster prevent it.
func (f *federationPoll) summary() verdict {
	private := f.resource.Status.MetadataCache.Private
	switch {
	case slices.ContainsFunc(f.rejected, federation.BreaksTrust):
		return notReady(servicesReason(f.rejected), f.describeRejected())
	case len(private.IngressGateways) == 0 && len(private.PublicServices) > 0:
		return notReady(ReasonNoGateways, "The peer publishes services but no address of its ingress gateway: "+
			"there, check that Service d8-istio/ingressgateway has an external address, or set alliance.ingressGateway.advertise.")
	}
	return ready("Services imported: %d.", *f.resource.Status.ImportedServices)
}

// importable are the services that become ServiceEntries.
func (f *federationPoll) importable() []metadata.PublicService {
	cache := f.resource.Status.MetadataCache
	if cache.Private == nil || len(cache.Private.IngressGateways) == 0 || cache.TrustDomain != f.resource.Spec.TrustDomain {
		return nil
	}
	return federation.Import(cache.Private.PublicServices, f.resource.Spec.Import)
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
func (f *federationPoll) describeRejected() string {
	const named = 3
	texts := make([]string, 0, named)
	for _, service := range f.rejected[:min(len(f.rejected), named)] {
		texts = append(texts, fmt.Sprintf("%s %s", service.Hostname, service.Message))
	}
	more := ""
	if f.rejectedTotal > named {
		more = fmt.Sprintf("; and %d more, see status.rejectedServices", f.rejectedTotal-named)
	}
	return fmt.Sprintf("%d rejected: %s%s.", f.rejectedTotal, strings.Join(texts, "; "), more)
}
