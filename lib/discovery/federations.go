package discovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/federation"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/peer"
	"github.com/deckhouse-mesh/istio/lib/servicelist"
	"github.com/deckhouse-mesh/istio/lib/trustanchor"
)

const (
	// fetchTimeout bounds one request to a peer that answered last time;
	// a peer that did not gets retryTimeout, so that it cannot hold up the others.
	fetchTimeout = 3 * time.Second
	retryTimeout = time.Second
	// parallelFetches bounds the requests under way, and so the documents in memory, at once.
	parallelFetches = 16

	maxPublicBytes = 256 << 10
	// maxCacheBytes is how much of a peer's private metadata fits into a status, compressed where it is long:
	// etcd takes 1.5 MiB for a whole object, and half a MiB is left for the rest of it.
	maxCacheBytes = metadata.MaxCacheBytes
	// maxEndpointPorts bounds the ServiceEntries of one peer together: each has every port once for every gateway. A peer
	// within all other bounds could otherwise fill this cluster's etcd. At some 40 bytes each it is about 20 MB.
	maxEndpointPorts = metadata.MaxEndpointPorts
)

// Reasons of conditions besides those of Refusal and peer.Error.
const (
	ReasonInvalidPublicMetadata  = "PeerPublicMetadataInvalid"
	ReasonInvalidPrivateMetadata = "PeerPrivateMetadataInvalid"
	ReasonTrustDomainMismatch    = "PeerTrustDomainMismatch"
	ReasonRootsNotHonoured       = "PeerRootsNotHonoured"
	ReasonOwnKeyMissing          = "OwnKeyMissing"
	ReasonInternalError          = "InternalError"
)

// Getter fetches documents; *peer.Client is one.
type Getter interface {
	Get(ctx context.Context, target peer.Target, request peer.Request) (*peer.Response, error)
}

// Discoverer asks peers and judges what they say.
type Discoverer struct {
	Client Getter
	Self   Self
	// PrivateKey is the PEM Ed25519 key that signs this cluster's tokens.
	PrivateKey string
	Now        time.Time
	// Codec packs the lists of services; nil works, too.
	Codec *servicelist.Codec
	// Elsewhere are the identities that resources of the other kind hold.
	Elsewhere []Claim
}

// Federations asks the peers of those resources that due selects and returns
// the new status of every resource that was given, by name. Of a peer that
// does not answer or says something invalid, everything learned before stays.
//
// took, unless nil, is told how long each peer kept this cluster waiting.
func (d Discoverer) Federations(ctx context.Context, federations []v1alpha1.IstioFederation, due func(v1alpha1.IstioFederation) bool, took func(v1alpha1.IstioFederation, time.Duration)) map[string]v1alpha1.IstioFederationStatus {
	refused := RefusedSpecs(d.Self, federations)
	known := newIdentities(d.Self, append(Claims(d.Self, federations), d.Elsewhere...))

	var visits []*visit
	statuses := make(map[string]v1alpha1.IstioFederationStatus, len(federations))
	for _, federation := range ByAge(federations) {
		if refusal, no := refused[federation.Name]; no {
			statuses[federation.Name] = refusedStatus(federation, refusal, d.Now)
			continue
		}
		statuses[federation.Name] = federation.Status
		if due(federation) {
			visits = append(visits, newVisit(federation, d))
		}
	}

	inParallel(visits, func(v *visit) { v.fetchPublic(ctx, d.Client) })
	// One after the other, oldest first: who may hold a clusterUUID must not depend on who answers faster.
	for _, v := range visits {
		v.guard(func() { v.judgePublic(known) })
	}
	inParallel(visits, func(v *visit) { v.fetchPrivate(ctx, d); v.judgePrivate() })
	for _, v := range visits {
		statuses[v.federation.Name] = v.status()
		if took != nil {
			took(v.federation, v.waited)
		}
	}
	return statuses
}

// visit is one round of questions to one peer.
type visit struct {
	federation v1alpha1.IstioFederation
	codec      *servicelist.Codec
	now        time.Time
	timeout    time.Duration
	// own is where no gateway of the peer can be.
	own metadata.Network
	// current is true when the cache was filled under the spec of today.
	current bool

	publicAnswer, privateAnswer *peer.Response
	publicError, privateError   error

	cache    v1alpha1.FederationCache
	rejected []v1alpha1.RejectedService
	// rejectedTotal counts more than rejected can name.
	rejectedTotal int
	// rootProblem tells which of the peer's roots are not honoured, gatewayProblem which gateways are not used.
	rootProblem, gatewayProblem error
	// waited is how long the peer took to answer.
	waited time.Duration
}

func (v *visit) waitedFor(duration time.Duration) { v.waited += duration }

func (v *visit) guard(do func()) {
	defer func() {
		if panicked := recover(); panicked != nil {
			v.publicError = stumbled(panicked)
		}
	}()
	do()
}

func newVisit(federation v1alpha1.IstioFederation, d Discoverer) *visit {
	v := &visit{
		federation: federation,
		codec:      d.Codec,
		now:        d.Now,
		own:        d.Self.Network,
		timeout:    fetchTimeout,
		current:    federation.Status.ObservedGeneration == federation.Generation && cacheCounts(federation),
		cache:      federation.Status.MetadataCache,
		rejected:   federation.Status.RejectedServices,
	}
	v.rejectedTotal = len(v.rejected)
	if isUnreachable(federation.Status.Conditions) {
		v.timeout = retryTimeout
	}
	return v
}

func (v *visit) get(ctx context.Context, client Getter, request peer.Request) (*peer.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, v.timeout)
	defer cancel()
	return client.Get(ctx, peer.Target{
		URL:                v.federation.Spec.MetadataEndpoint,
		CA:                 v.federation.Spec.Metadata.CA,
		InsecureSkipVerify: v.federation.Spec.Metadata.InsecureSkipVerify,
	}, request)
}

func (v *visit) fetchPublic(ctx context.Context, client Getter) {
	request := metadata.PublicDocument.Request("")
	if v.current && v.cache.Public != nil {
		request.IfNoneMatch = v.cache.PublicETag
	}
	v.publicAnswer, v.publicError = v.get(ctx, client, request)
}

func (v *visit) judgePublic(known identities) {
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
	if public.TrustDomain != "" && public.TrustDomain != v.federation.Spec.TrustDomain {
		v.publicError = &judgement{ReasonTrustDomainMismatch, fmt.Sprintf(
			"the peer says its trust domain is %q, spec.trustDomain says %q: correct the one that is wrong.",
			public.TrustDomain, v.federation.Spec.TrustDomain)}
		return
	}
	roots, problem := trustanchor.Usable(public.RootCA, v.federation.Spec.TrustDomain, v.now)
	if v.rootProblem = problem; len(roots) == 0 {
		v.publicError = invalid(ReasonRootsNotHonoured, problem)
		return
	}
	if v.publicError = v.pin().refuses(public, v.now); v.publicError != nil {
		return
	}
	if refusal := known.claim(federationOwner(v.federation.Name), public.ClusterUUID); refusal != nil {
		v.publicError = &judgement{refusal.Reason, refusal.Message}
		return
	}
	if v.cache.TrustDomain != v.federation.Spec.TrustDomain {
		// What was learned under another trust domain is of no use under this one.
		v.cache = v1alpha1.FederationCache{TrustDomain: v.federation.Spec.TrustDomain}
		v.rejected, v.rejectedTotal = nil, 0
	}
	v.cache.Public = public
	v.cache.PublicETag = currentETag(v.publicAnswer, v.cache.PublicETag)
	v.cache.PublicLastFetchTimestamp = contact(v.cache.PublicLastFetchTimestamp, v.now)
}

// pin is what the resource knows of the peer's identity.
func (v *visit) pin() pin {
	pinned := pin{
		owner: federationOwner(v.federation.Name), unverified: v.federation.Spec.Metadata.InsecureSkipVerify,
		confirmed: v.federation.Annotations[v1alpha1.AcceptIdentityAnnotation],
	}
	if cacheCounts(v.federation) {
		pinned.known = v.federation.Status.MetadataCache.Public
	}
	return pinned
}

func (v *visit) fetchPrivate(ctx context.Context, d Discoverer) {
	if v.publicError != nil {
		return
	}
	key, err := authn.ParsePrivateKey(d.PrivateKey)
	if err != nil {
		v.privateError = &judgement{ReasonOwnKeyMissing, "this cluster's own key is not there yet; it is made when the module starts."}
		return
	}
	token, err := authn.SignForPeer(key, d.Self.ClusterUUID, v.cache.Public.ClusterUUID, metadata.FederationDocument.Scope, v.now)
	if err != nil {
		v.privateError = &judgement{ReasonOwnKeyMissing, fmt.Sprintf("sign a token for the peer: %v", err)}
		return
	}
	request := metadata.FederationDocument.Request(token)
	// A document with rejected services is fetched whole: what was rejected is
	// not in the cache, and the spec or this module may accept it by now.
	if v.current && v.cache.Private != nil && v.cache.Private.PublicServices != nil && len(v.rejected) == 0 {
		request.IfNoneMatch = v.cache.PrivateETag
	}
	v.privateAnswer, v.privateError = v.get(ctx, d.Client, request)
}

func (v *visit) judgePrivate() {
	if v.publicError != nil || v.privateError != nil {
		return
	}
	if !v.privateAnswer.NotModified || v.cache.Private == nil {
		private, err := metadata.ParseFederation(v.privateAnswer.Body)
		if err != nil {
			v.privateError = invalid(ReasonInvalidPrivateMetadata, err)
			return
		}
		if err := v.accept(private); err != nil {
			v.privateError = err
			return
		}
	}
	v.privateAnswer.Body = nil
	v.withdrawOwn()
	v.cache.PrivateETag = currentETag(v.privateAnswer, v.cache.PrivateETag)
	if v.gatewayProblem != nil {
		// What was left out is not in the cache, and may be usable next time: then the document is fetched whole.
		v.cache.PrivateETag = ""
	}
	v.cache.PrivateLastFetchTimestamp = contact(v.cache.PrivateLastFetchTimestamp, v.now)
}

// withdrawOwn takes gateways out of the cache that were learned before it was
// known that they are this cluster's own addresses.
func (v *visit) withdrawOwn() {
	usable, problem := metadata.UsableGateways(v.cache.Private.IngressGateways, v.own)
	if problem == nil {
		return
	}
	private := *v.cache.Private
	private.IngressGateways = usable
	if err := v.codec.Seal(&private); err != nil { // it was encoded before
		private.Digest = ""
	}
	v.cache.Private, v.gatewayProblem = &private, problem
}

// accept puts what may be used of a peer's metadata into the cache and notes the rest.
func (v *visit) accept(private *metadata.Federation) error {
	tooLarge := func(bytes int) error {
		return &judgement{string(peer.TooLarge), fmt.Sprintf(
			"the peer publishes %d services in %d bytes; %d services in %d bytes fit. What was learned before stays in force: publish fewer services there.",
			len(private.PublicServices), bytes, metadata.MaxServices, maxCacheBytes)}
	}
	if len(private.PublicServices) > metadata.MaxServices {
		return tooLarge(len(v.privateAnswer.Body))
	}
	verdict := federation.Judge(private.PublicServices, v.federation.Spec.TrustDomain)
	gateways, problem := metadata.UsableGateways(private.IngressGateways, v.own)
	if ports := countPorts(verdict.Accepted) * len(gateways); ports > maxEndpointPorts {
		return &judgement{string(peer.TooLarge), fmt.Sprintf(
			"the peer publishes services whose ports, once for each of its %d gateways, are %d; %d are possible. What was learned before stays in force: publish fewer services or gateways there.",
			len(gateways), ports, maxEndpointPorts)}
	}
	accepted := &v1alpha1.CachedFederation{IngressGateways: gateways, PublicServices: verdict.Accepted}
	if accepted.PublicServices == nil {
		accepted.PublicServices = []metadata.PublicService{}
	}
	var last []metadata.PublicService
	if v.cache.Private != nil {
		last = v.cache.Private.PublicServices
	}
	federation.KeepServiceAccounts(accepted.PublicServices, last)
	if err := v.codec.Seal(accepted); err != nil {
		return invalid(ReasonInvalidPrivateMetadata, err)
	}
	packed, err := v.codec.Pack(*accepted)
	if err != nil {
		return invalid(ReasonInvalidPrivateMetadata, err)
	}
	encoded, err := json.Marshal(packed)
	if err != nil {
		return invalid(ReasonInvalidPrivateMetadata, err)
	}
	if len(encoded) > maxCacheBytes {
		return tooLarge(len(encoded))
	}
	v.cache.Private, v.rejected, v.rejectedTotal, v.gatewayProblem = accepted, verdict.Rejected, verdict.RejectedTotal, problem
	return nil
}

func countPorts(services []metadata.PublicService) (ports int) {
	for _, service := range services {
		ports += len(service.Ports)
	}
	return ports
}

// judgement is a refusal of what a peer said.
type judgement struct{ reason, message string }

func (j *judgement) Error() string { return j.message }

func invalid(reason string, err error) error {
	return &judgement{reason, fmt.Sprintf(
		"the peer's answer is refused: %v. What was learned before stays in force; look at the peer's metadata-exporter.", err)}
}

// reasonOf is the condition reason of an error made here or by package peer.
func reasonOf(err error) string {
	var judged *judgement
	if errors.As(err, &judged) {
		return judged.reason
	}
	var failed *peer.Error
	if errors.As(err, &failed) {
		return string(failed.Reason)
	}
	return string(peer.Unreachable)
}
