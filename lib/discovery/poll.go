package discovery

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/peer"
	"github.com/deckhouse-mesh/istio/lib/trustanchor"
)

const (
	// fetchTimeout bounds one request to a peer that answered last time, or has answered metadata-watcher since;
	// another gets retryTimeout, so that it cannot delay the others.
	fetchTimeout = 3 * time.Second
	retryTimeout = time.Second
	// parallelFetches bounds the requests in flight, and so the documents in memory.
	parallelFetches = 16
)

// Poll polls the peers of those resources that due selects, and returns every
// resource given, with its new status, by name. All resources are of one kind.
// When a peer does not answer, or its answer is invalid, what was learned before is retained.
//
// waited, unless nil, gets how long this cluster waited for each peer.
func (d Discoverer) Poll(ctx context.Context, resources []v1alpha1.Peer, due func(v1alpha1.Peer) bool, waited func(v1alpha1.Peer, time.Duration)) map[string]v1alpha1.Peer {
	rejected := Rejected(d.Self, resources)
	updated := make(map[string]v1alpha1.Peer, len(resources))
	var polls []*poll
	for _, resource := range byAge(resources) {
		rejection, found := rejected[resource.GetName()]
		switch {
		case found:
			updated[resource.GetName()] = withRejection(resource, rejection, d.Now)
		case due(resource):
			polls = append(polls, d.newPoll(resource))
			updated[resource.GetName()] = polls[len(polls)-1].resource
		default:
			updated[resource.GetName()] = resource
		}
	}
	identities := newIdentities(d.Self, append(Claims(d.Self, resources), d.Elsewhere...))
	d.run(ctx, polls, identities, newRootBudget(resources), newNetworks(d.Self, resources))
	noteNested(polls, updated)
	for _, p := range polls {
		p.setStatus()
		if waited != nil {
			waited(p.resource, p.waited)
		}
	}
	return updated
}

// run takes all polls from phase to phase. Which peer may hold an identity or a network must not
// depend on which answers faster: these are claimed one after the other, oldest resource first.
func (d Discoverer) run(ctx context.Context, polls []*poll, identities identities, budget rootBudget, networks networks) {
	inParallel(polls, func(p *poll) { p.public.try(func() error { return p.fetchPublic(ctx) }) })
	for _, p := range polls {
		p.public.try(func() error { return p.acceptPublic(identities, budget) })
	}
	inParallel(polls, func(p *poll) { p.private.try(func() error { return p.fetchPrivate(ctx) }) })
	for _, p := range polls {
		p.private.try(func() error { return p.acceptPrivate(networks) })
	}
	inParallel(polls, func(p *poll) { p.api.try(func() error { return p.kind.askAPI(ctx) }) })
}

// noteNested reports roots that count for one of two peers alone. resources are
// all of them by name, also those that were not polled.
func noteNested(polls []*poll, resources map[string]v1alpha1.Peer) {
	var peers []trustanchor.Peer
	for _, name := range slices.Sorted(maps.Keys(resources)) {
		federation, ok := resources[name].(*v1alpha1.IstioFederation)
		if public := knownPublic(resources[name]); ok && public != nil { // multiclusters have one domain
			peers = append(peers, trustanchor.Peer{Name: name, TrustDomain: federation.Spec.TrustDomain, RootCA: public.RootCA})
		}
	}
	problems := trustanchor.Nested(peers)
	for _, p := range polls {
		if problem := problems[p.resource.GetName()]; problem != nil {
			p.rootProblem = errors.Join(p.rootProblem, problem)
		}
	}
}

// inParallel does the same for all polls and notes how long it took.
func inParallel(polls []*poll, do func(*poll)) {
	var group errgroup.Group
	group.SetLimit(parallelFetches)
	for _, p := range polls {
		group.Go(func() error {
			begun := time.Now()
			do(p)
			p.waited += time.Since(begun)
			return nil
		})
	}
	_ = group.Wait()
}

// kind is in what a poll differs between IstioFederation and IstioMulticluster.
type kind interface {
	terms() terms
	// rejectDomain is why a peer of another trust domain than that of the terms is rejected.
	rejectDomain(other string) error
	// identified is called when the peer's identity is accepted, before it is written to the cache.
	identified()
	// complete is true when the cache has all of the last private document, so that a conditional request is enough.
	complete() bool
	// judgePrivate judges the private document, or again what is known of it when it has not
	// changed. It returns which of the gateways are not used.
	judgePrivate(answer *peer.Response) (gatewayProblem, err error)
	// store claims what the judged document contains and puts it into the status.
	store(networks) error
	// askAPI asks the peer's API server, where this cluster is going to use it.
	askAPI(ctx context.Context) error
	// describe sets what only the status of this kind has.
	describe(set setCondition)
	// summary is what the condition Ready says when no request has failed.
	summary() verdict
}

// terms are what a kind expects of its peers and reports of them.
type terms struct {
	// trustDomain that the peer has.
	trustDomain string
	document    metadata.Document
	// accepted is the message of the condition Accepted, offer what the private document offers.
	accepted, offer string
}

// poll is one round of requests to one peer. Its resource is a copy that gets the new status.
type poll struct {
	Discoverer
	resource v1alpha1.Peer
	kind     kind
	timeout  time.Duration
	// known is the identity learned before, nil when there is none that counts;
	// current is true when it was learned under the present spec.
	known   *metadata.Public
	current bool

	public, private, api outcome
	// rootProblem is which of the peer's roots are not trusted, gatewayProblem which gateways are not used.
	rootProblem, gatewayProblem error
	// waited is how long the peer took to answer.
	waited time.Duration
}

func (d Discoverer) newPoll(resource v1alpha1.Peer) *poll {
	p := &poll{Discoverer: d, resource: withOwnStatus(resource), timeout: fetchTimeout, known: knownPublic(resource)}
	p.private.requires, p.api.requires = &p.public, &p.private
	p.current = p.known != nil && resource.PeerStatus().ObservedGeneration == resource.GetGeneration()
	if isUnreachable(resource.PeerStatus().Conditions) && (d.Answers == nil || !d.Answers(resource)) {
		p.timeout = retryTimeout
	}
	switch resource := p.resource.(type) {
	case *v1alpha1.IstioFederation:
		p.kind = newFederationPoll(p, resource)
	case *v1alpha1.IstioMulticluster:
		p.kind = &multiclusterPoll{poll: p, resource: resource}
	}
	return p
}

// outcome is what came of asking for one document.
type outcome struct {
	// requires is the document without which this one is not asked for.
	requires *outcome
	answer   *peer.Response
	err      error
}

func (o *outcome) failed() bool { return o.err != nil || o.requires != nil && o.requires.failed() }

// try takes the next step for the document unless one has failed. A panic is a
// failure of this document: it must not prevent those of others.
func (o *outcome) try(step func() error) {
	if o.failed() {
		return
	}
	defer func() {
		if panicked := recover(); panicked != nil {
			o.err = reject(ReasonInternalError,
				"processing the peer's answer failed because of a defect in this module, please report it: %v. What was learned before stays in force.", panicked)
		}
	}()
	o.err = step()
}

func (p *poll) get(ctx context.Context, endpoint string, request peer.Request) (*peer.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	trust := p.resource.PeerSpec().Metadata
	return p.Client.Get(ctx, peer.Target{URL: endpoint, CA: trust.CA, InsecureSkipVerify: trust.InsecureSkipVerify}, request)
}

// token speaks for this cluster to the peer, for one request.
func (p *poll) token(scope string) (string, error) {
	key, err := authn.ParsePrivateKey(p.PrivateKey)
	if err != nil {
		return "", reject(ReasonOwnKeyMissing, "this cluster has no key of its own yet; it is made when the module starts.")
	}
	token, err := authn.SignForPeer(key, p.Self.ClusterUUID, p.resource.PeerCache().Public.ClusterUUID, scope, p.Now)
	if err != nil {
		return "", reject(ReasonOwnKeyMissing, "sign a token for the peer: %v", err)
	}
	return token, nil
}

func (p *poll) fetchPublic(ctx context.Context) (err error) {
	request := metadata.PublicDocument.Request("")
	if p.current {
		request.IfNoneMatch = p.resource.PeerCache().PublicETag
	}
	p.public.answer, err = p.get(ctx, p.resource.PeerSpec().MetadataEndpoint, request)
	return err
}

func (p *poll) acceptPublic(identities identities, budget rootBudget) error {
	public := p.resource.PeerCache().Public
	if !p.public.answer.NotModified || public == nil {
		var err error
		if public, err = metadata.ParsePublic(p.public.answer.Body, p.Now); err != nil {
			return invalid(ReasonInvalidPublicMetadata, err)
		}
	}
	domain := p.kind.terms().trustDomain
	// Deckhouse's own module does not publish its domain.
	if public.TrustDomain != "" && public.TrustDomain != domain {
		return p.kind.rejectDomain(public.TrustDomain)
	}
	roots, problem := trustanchor.Usable(public.RootCA, domain, p.Now)
	if p.rootProblem = problem; len(roots) == 0 {
		return invalid(ReasonRootsNotHonoured, problem)
	}
	if err := p.checkPin(public); err != nil {
		return err
	}
	if err := identities.claim(ownerOf(p.resource), public.ClusterUUID); err != nil {
		return err
	}
	if err := budget.claim(p.resource.GetName(), public.RootCA); err != nil {
		return err
	}
	if addsIdentity(p.known, public) {
		if err := p.admitChange(); err != nil {
			return err
		}
	}
	p.kind.identified()
	cache := p.resource.PeerCache()
	cache.Public = public
	cache.PublicETag = currentETag(p.public.answer, cache.PublicETag)
	cache.PublicLastFetchTimestamp = contact(cache.PublicLastFetchTimestamp, p.Now)
	return nil
}

// admitChange counts a change of what the peer is, unless there were too many.
func (p *poll) admitChange() error {
	cache := p.resource.PeerCache()
	admitted, next, ok := admitChange(cache.IdentityChanges, p.Now)
	if !ok {
		return reject(ReasonIdentityChangesTooOften,
			"the peer's key, roots, UUID, API or network have changed %d times in a short time; the next change is accepted from %s on. "+
				"What was learned before stays in force; find out there what changes them.", identityBurst, next.UTC().Format(time.RFC3339))
	}
	cache.IdentityChanges = admitted
	return nil
}

// fetchPrivate judges the document, too: it may be large, and is not retained for later phases.
func (p *poll) fetchPrivate(ctx context.Context) error {
	document := p.kind.terms().document
	token, err := p.token(document.Scope)
	if err != nil {
		return err
	}
	request := document.Request(token)
	if p.current && p.kind.complete() {
		request.IfNoneMatch = p.resource.PeerCache().PrivateETag
	}
	if p.private.answer, err = p.get(ctx, p.resource.PeerSpec().MetadataEndpoint, request); err != nil {
		return err
	}
	p.gatewayProblem, err = p.kind.judgePrivate(p.private.answer)
	p.private.answer.Body = nil
	return err
}

func (p *poll) acceptPrivate(networks networks) error {
	if err := p.kind.store(networks); err != nil {
		return err
	}
	cache := p.resource.PeerCache()
	cache.PrivateETag = currentETag(p.private.answer, cache.PrivateETag)
	if p.gatewayProblem != nil {
		// The cache lacks the gateways that were left out, and they may be usable next time: then the whole document is needed.
		cache.PrivateETag = ""
	}
	cache.PrivateLastFetchTimestamp = contact(cache.PrivateLastFetchTimestamp, p.Now)
	return nil
}

func currentETag(answer *peer.Response, held string) string {
	if answer.NotModified && answer.ETag == "" {
		return held
	}
	return answer.ETag
}
