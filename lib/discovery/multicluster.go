package discovery

import (
	"context"
	"encoding/json"
	"errors"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/peer"
)

const (
	// versionPath is what the peer's API server is asked for, to see whether it answers.
	versionPath     = "version"
	maxVersionBytes = 256 << 10
)

// multiclusterPoll is what is particular to the peer of an IstioMulticluster: its network and its API.
type multiclusterPoll struct {
	*poll
	resource *v1alpha1.IstioMulticluster
	// judged is the private document as far as it may be used.
	judged *metadata.Multicluster
}

func (m *multiclusterPoll) terms() terms {
	return terms{
		trustDomain: m.Self.TrustDomain,
		document:    metadata.MulticlusterDocument,
		accepted:    "The resource does not contradict this cluster.",
		offer:       "gateways, network and API",
	}
}

func (m *multiclusterPoll) rejectDomain(other string) error {
	return reject(ReasonTrustDomainMismatch,
		"the peer says its trust domain is %q, this cluster's is %q: the clusters of one mesh have the same cluster domain. "+
			"For a cluster of another domain, create an IstioFederation.", other, m.Self.TrustDomain)
}

// identified has nothing to do: the trust domain is this cluster's own and does not change.
func (m *multiclusterPoll) identified() {}

func (m *multiclusterPoll) complete() bool { return m.resource.Status.MetadataCache.Private != nil }

func (m *multiclusterPoll) judgePrivate(answer *peer.Response) (gatewayProblem, err error) {
	m.judged = m.resource.Status.MetadataCache.Private
	if !answer.NotModified || m.judged == nil {
		if m.judged, err = metadata.ParseMulticluster(answer.Body); err != nil {
			return nil, invalid(ReasonInvalidPrivateMetadata, err)
		}
	}
	// An unchanged document, too: an address may have become known as this cluster's own since.
	if err := m.Self.Network.RejectsAPI(m.judged.APIHost, m.Self.TrustDomain); err != nil {
		return nil, invalid(ReasonInvalidPrivateMetadata, err)
	}
	usable, gatewayProblem := metadata.UsableGateways(m.judged.IngressGateways, m.Self.Network)
	if gatewayProblem != nil {
		private := *m.judged
		private.IngressGateways = usable
		m.judged = &private
	}
	return gatewayProblem, nil
}

func (m *multiclusterPoll) store(networks networks) error {
	if err := networks.claim(m.resource.Name, m.judged.NetworkName); err != nil {
		return err
	}
	if addsAccess(m.resource.Status.MetadataCache.Private, m.judged) {
		if err := m.admitChange(); err != nil {
			return err
		}
	}
	m.resource.Status.MetadataCache.Private = m.judged
	return nil
}

// askAPI asks the peer's API server what istiod is going to ask it, through the peer's API proxy.
func (m *multiclusterPoll) askAPI(ctx context.Context) error {
	token, err := m.token(authn.ScopeAPI)
	if err != nil {
		return err
	}
	endpoint := "https://" + m.judged.APIHost
	answer, err := m.get(ctx, endpoint, peer.Request{Path: versionPath, Token: token, MaxBytes: maxVersionBytes})
	if err != nil {
		return apiError(endpoint, err)
	}
	var version struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := json.Unmarshal(answer.Body, &version); err != nil || version.GitVersion == "" {
		return reject(ReasonAPIUnexpectedAnswer,
			"GET %s/%s: the answer is not that of a Kubernetes API server: check that the name leads to the peer's api-proxy.", endpoint, versionPath)
	}
	return nil
}

// apiProblems has for each way in which asking the API can fail what a person can do.
var apiProblems = map[peer.Reason]struct{ reason, hint string }{
	peer.Unreachable:  {ReasonAPIUnreachable, "check DNS, firewalls, and that api-proxy runs there; istiod continues with what it has read"},
	peer.TLS:          {ReasonAPINotTrusted, "spec.metadata.ca must hold the CA of the HTTPS certificate of the peer's API proxy, too"},
	peer.Unauthorized: {ReasonAPIRefuses, "create the IstioMulticluster for this cluster in the peer; it takes effect within a minute"},
	peer.ClockDiffers: {ReasonAPIRefuses, "compare the clocks of both clusters, and have both synchronized (NTP)"},
	peer.Limited: {ReasonAPILimits, "this cluster, or all clusters together, use as much of the peer's API proxy as they may: look at api_proxy_limited_total there, " +
		"and for what else makes requests in this cluster's name; istiod continues with what it has read"},
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
	return reject(problem.reason, "GET %s/%s: %s (%s)", endpoint, versionPath, cause, problem.hint)
}

func (m *multiclusterPoll) describe(set setCondition) {
	switch {
	case m.private.failed():
		set(v1alpha1.ConditionAPI, metav1.ConditionUnknown, ReasonAPINotAsked,
			"The peer's API server is asked once the peer's identity and the address of its API are known; istiod continues with what it has read.")
	case m.api.err != nil:
		set(v1alpha1.ConditionAPI, metav1.ConditionFalse, reasonOf(m.api.err), m.api.err.Error())
	default:
		set(v1alpha1.ConditionAPI, metav1.ConditionTrue, ReasonAPIAnswers, "The peer's API server answers this cluster through the peer's API proxy.")
	}
}

func (m *multiclusterPoll) summary() verdict {
	if m.resource.Spec.EntersByGateway() && len(m.judged.IngressGateways) == 0 {
		return notReady(ReasonNoGateways, "The peer publishes no address of its ingress gateway, so its Pods cannot be reached and are left out: "+
			"there, check that some IstioMulticluster has enableIngressGateway, that Service d8-istio/ingressgateway has an external address, or set alliance.ingressGateway.advertise. "+
			"Where Pods reach each other directly, set spec.enableIngressGateway to false on both sides.")
	}
	return ready("Network %s is part of the mesh.", m.judged.NetworkName)
}
