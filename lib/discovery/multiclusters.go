package discovery

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/peer"
	"github.com/deckhouse-mesh/istio/lib/trustanchor"
)

// versionPath is what the peer's API server is asked for, to see whether it answers.
const versionPath = "version"

// Multiclusters asks the peers of those resources that due selects, and through
// their API proxies their API servers, and returns the new status of every
// resource that was given, by name. Of a peer that does not answer or says
// something invalid, everything learned before stays.
//
// took, unless nil, is told how long each peer kept this cluster waiting.
func (d Discoverer) Multiclusters(ctx context.Context, multiclusters []v1alpha1.IstioMulticluster, due func(v1alpha1.IstioMulticluster) bool, took func(v1alpha1.IstioMulticluster, time.Duration)) map[string]v1alpha1.IstioMulticlusterStatus {
	refused := RefusedMulticlusters(d.Self, multiclusters)
	known := newIdentities(d.Self, append(MulticlusterClaims(d.Self, multiclusters), d.Elsewhere...))
	taken := newNetworks(d.Self, multiclusters)

	var visits []*meshVisit
	statuses := make(map[string]v1alpha1.IstioMulticlusterStatus, len(multiclusters))
	for _, multicluster := range MulticlustersByAge(multiclusters) {
		if refusal, no := refused[multicluster.Name]; no {
			statuses[multicluster.Name] = refusedMulticluster(multicluster, refusal, d.Now)
			continue
		}
		statuses[multicluster.Name] = multicluster.Status
		if due(multicluster) {
			visits = append(visits, newMeshVisit(multicluster, d))
		}
	}

	inParallel(visits, func(v *meshVisit) { v.fetchPublic(ctx, d.Client) })
	// One after the other, oldest first: who may hold what must not depend on who answers faster.
	for _, v := range visits {
		v.guard(func() { v.judgePublic(d.Self, known) })
	}
	inParallel(visits, func(v *meshVisit) { v.fetchPrivate(ctx, d) })
	for _, v := range visits {
		v.guard(func() { v.judgePrivate(taken) })
	}
	inParallel(visits, func(v *meshVisit) { v.askAPI(ctx, d) })
	for _, v := range visits {
		statuses[v.resource.Name] = v.status()
		if took != nil {
			took(v.resource, v.waited)
		}
	}
	return statuses
}

// meshVisit is one round of questions to one peer of the same mesh.
type meshVisit struct {
	resource v1alpha1.IstioMulticluster
	now      time.Time
	timeout  time.Duration
	// own is where no gateway of the peer can be.
	own metadata.Network
	// current is true when the cache was filled under the spec of today.
	current bool

	publicAnswer, privateAnswer         *peer.Response
	publicError, privateError, apiError error
	// asked is true when the API server was.
	asked bool

	cache v1alpha1.MulticlusterCache
	// rootProblem tells which of the peer's roots are not honoured, gatewayProblem which gateways are not used.
	rootProblem, gatewayProblem error
	// waited is how long the peer took to answer.
	waited time.Duration
}

func newMeshVisit(resource v1alpha1.IstioMulticluster, d Discoverer) *meshVisit {
	v := &meshVisit{
		resource: resource, now: d.Now, own: d.Self.Network, timeout: fetchTimeout,
		current: resource.Status.ObservedGeneration == resource.Generation,
		cache:   resource.Status.MetadataCache,
	}
	if isUnreachable(resource.Status.Conditions) {
		v.timeout = retryTimeout
	}
	return v
}

func (v *meshVisit) waitedFor(duration time.Duration) { v.waited += duration }

func (v *meshVisit) guard(do func()) {
	defer func() {
		if panicked := recover(); panicked != nil {
			v.publicError = stumbled(panicked)
		}
	}()
	do()
}

func (v *meshVisit) get(ctx context.Context, client Getter, endpoint string, request peer.Request) (*peer.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, v.timeout)
	defer cancel()
	return client.Get(ctx, peer.Target{
		URL: endpoint, CA: v.resource.Spec.Metadata.CA, InsecureSkipVerify: v.resource.Spec.Metadata.InsecureSkipVerify,
	}, request)
}

func (v *meshVisit) fetchPublic(ctx context.Context, client Getter) {
	request := metadata.PublicDocument.Request("")
	if v.current && v.cache.Public != nil {
		request.IfNoneMatch = v.cache.PublicETag
	}
	v.publicAnswer, v.publicError = v.get(ctx, client, v.resource.Spec.MetadataEndpoint, request)
}

func (v *meshVisit) judgePublic(self Self, known identities) {
	if v.publicError != nil {
		return
	}
	public := v.cache.Public
	if !v.publicAnswer.NotModified || public == nil {
		var err error
		if public, err = metadata.ParsePublic(v.publicAnswer.Body, v.now); err != nil {
			v.publicError = invalid(ReasonInvalidPublicMetadata, err)
			return
		}
	}
	// Deckhouse's own module does not say which domain it has.
	if public.TrustDomain != "" && public.TrustDomain != self.TrustDomain {
		v.publicError = &judgement{ReasonTrustDomainMismatch, fmt.Sprintf(
			"the peer says its trust domain is %q, this cluster's is %q: the clusters of one mesh have the same cluster domain. "+
				"Clusters of different domains are joined by an IstioFederation.", public.TrustDomain, self.TrustDomain)}
		return
	}
	roots, problem := trustanchor.Usable(public.RootCA, self.TrustDomain, v.now)
	if v.rootProblem = problem; len(roots) == 0 {
		v.publicError = invalid(ReasonRootsNotHonoured, problem)
		return
	}
	pinned := pin{
		owner: multiclusterOwner(v.resource.Name), unverified: v.resource.Spec.Metadata.InsecureSkipVerify,
		known: v.cache.Public, confirmed: v.resource.Annotations[v1alpha1.AcceptIdentityAnnotation],
	}
	if v.publicError = pinned.refuses(public, v.now); v.publicError != nil {
		return
	}
	if refusal := known.claim(pinned.owner, public.ClusterUUID); refusal != nil {
		v.publicError = &judgement{refusal.Reason, refusal.Message}
		return
	}
	v.cache.Public = public
	v.cache.PublicETag = currentETag(v.publicAnswer, v.cache.PublicETag)
	v.cache.PublicLastFetchTimestamp = contact(v.cache.PublicLastFetchTimestamp, v.now)
}

func (v *meshVisit) fetchPrivate(ctx context.Context, d Discoverer) {
	if v.publicError != nil {
		return
	}
	token, err := v.token(d, metadata.MulticlusterDocument.Scope)
	if err != nil {
		v.privateError = err
		return
	}
	request := metadata.MulticlusterDocument.Request(token)
	if v.current && v.cache.Private != nil {
		request.IfNoneMatch = v.cache.PrivateETag
	}
	v.privateAnswer, v.privateError = v.get(ctx, d.Client, v.resource.Spec.MetadataEndpoint, request)
}

// token speaks for this cluster to the peer, for one request.
func (v *meshVisit) token(d Discoverer, scope string) (string, error) {
	key, err := authn.ParsePrivateKey(d.PrivateKey)
	if err != nil {
		return "", &judgement{ReasonOwnKeyMissing, "this cluster's own key is not there yet; it is made when the module starts."}
	}
	token, err := authn.SignForPeer(key, d.Self.ClusterUUID, v.cache.Public.ClusterUUID, scope, v.now)
	if err != nil {
		return "", &judgement{ReasonOwnKeyMissing, fmt.Sprintf("sign a token for the peer: %v", err)}
	}
	return token, nil
}

func (v *meshVisit) judgePrivate(taken networks) {
	if v.publicError != nil || v.privateError != nil {
		return
	}
	private := v.cache.Private
	if !v.privateAnswer.NotModified || private == nil {
		parsed, err := metadata.ParseMulticluster(v.privateAnswer.Body)
		if err != nil {
			v.privateError = invalid(ReasonInvalidPrivateMetadata, err)
			return
		}
		private = parsed
	}
	// Of a known answer, too: an address may have become known as this cluster's own since.
	if usable, problem := metadata.UsableGateways(private.IngressGateways, v.own); problem != nil {
		judged := *private
		judged.IngressGateways = usable
		private, v.gatewayProblem = &judged, problem
	}
	if refusal := taken.claim(v.resource, private.NetworkName); refusal != nil {
		v.privateError = &judgement{refusal.Reason, refusal.Message}
		return
	}
	v.cache.Private = private
	v.cache.PrivateETag = currentETag(v.privateAnswer, v.cache.PrivateETag)
	if v.gatewayProblem != nil {
		// What was left out is not in the cache, and may be usable next time: then the document is fetched whole.
		v.cache.PrivateETag = ""
	}
	v.cache.PrivateLastFetchTimestamp = contact(v.cache.PrivateLastFetchTimestamp, v.now)
}

// askAPI asks the peer's API server what istiod is going to ask it, through the peer's API proxy.
func (v *meshVisit) askAPI(ctx context.Context, d Discoverer) {
	if v.publicError != nil || v.privateError != nil {
		return
	}
	token, err := v.token(d, authn.ScopeAPI)
	if err != nil {
		v.apiError = err
		return
	}
	v.asked = true
	endpoint := "https://" + v.cache.Private.APIHost
	answer, err := v.get(ctx, d.Client, endpoint, peer.Request{Path: versionPath, Token: token, MaxBytes: maxPublicBytes})
	if err != nil {
		v.apiError = apiError(endpoint, err)
		return
	}
	var version struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := json.Unmarshal(answer.Body, &version); err != nil || version.GitVersion == "" {
		v.apiError = &judgement{ReasonAPIUnexpectedAnswer, fmt.Sprintf(
			"GET %s/%s: the answer is not that of a Kubernetes API server: check that the name leads to the peer's api-proxy.", endpoint, versionPath)}
	}
}
