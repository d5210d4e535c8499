package server

import (
	"crypto/ed25519"
	"errors"
	"net/http"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/clientcert"
)

// audience is for whom a private document is: neighbours joined by a resource
// of this kind, who prove it by a token of this scope or a client certificate.
type audience struct{ kind, scope string }

// refusal is why neither proof was accepted. Both messages go back to the
// caller: they tell what is missing, and nothing of what is known here.
type refusal struct{ token, certificate error }

func (r *refusal) Error() string {
	noToken, noCertificate := errors.Is(r.token, authn.ErrMissing), errors.Is(r.certificate, clientcert.ErrMissing)
	switch {
	case noToken && noCertificate:
		return r.token.Error() + " and " + r.certificate.Error()
	case noCertificate:
		return r.token.Error()
	default:
		return r.token.Error() + "; " + r.certificate.Error()
	}
}

func (r *refusal) Unwrap() []error { return []error{r.token, r.certificate} }

// authenticate finds out whether the caller is a neighbour who may read what is
// for to. Either proof is enough; one that proves nothing does not spoil the
// other. The token goes first, for it names the caller exactly: clusters may
// share a root. A caller whose resource is of another kind is as unknown as a
// stranger (contract, "Who is a neighbour").
func (h *Handler) authenticate(r *http.Request, to audience) (grant, error) {
	byToken, tokenErr := h.authenticateToken(r, to)
	if tokenErr == nil {
		return byToken, nil
	}
	byCertificate, certificateErr := h.authenticateCertificate(r, to)
	if certificateErr == nil {
		return byCertificate, nil
	}
	return grant{}, &refusal{tokenErr, certificateErr}
}

func (h *Handler) authenticateToken(r *http.Request, to audience) (grant, error) {
	permission := grant{registry: h.neighbours, kind: to.kind}
	verifier := authn.Verifier{
		Audience: h.clusterUUID,
		Now:      h.now,
		Verified: h.verified,
		Key: func(subject string) (ed25519.PublicKey, bool) {
			neighbour, known := h.neighbours.Lookup(subject)
			permission.caller, permission.key = subject, neighbour.Key
			return neighbour.Key, known && neighbour.Kind == to.kind
		},
	}
	token, err := authn.BearerToken(r.Header)
	if err != nil {
		return grant{}, err
	}
	if _, err := verifier.Verify(token, to.scope); err != nil {
		return grant{}, err
	}
	return permission, nil
}

func (h *Handler) authenticateCertificate(r *http.Request, to audience) (grant, error) {
	chain, err := clientcert.OfRequest(r, h.ingressClients.Current(), h.now())
	if err != nil {
		return grant{}, err
	}
	caller, err := h.neighbours.Anchors(to.kind).Verify(chain, h.now())
	if err != nil {
		return grant{}, err
	}
	// Of clusters that share a root it may be any; the first stands for them.
	return grant{registry: h.neighbours, kind: to.kind, caller: caller.Owners[0], anchors: caller.Anchors}, nil
}

// failureReasons are the label values of the metric for what can be refused.
// Those of a token come first: the metric has one for a caller that gave both.
var failureReasons = []struct {
	err    error
	reason string
}{
	{authn.ErrMalformed, "malformed"},
	{authn.ErrSeveralHeaders, "malformed"},
	{authn.ErrIssuer, "issuer"},
	{authn.ErrAudience, "audience"},
	{authn.ErrScope, "scope"},
	{authn.ErrSubject, "no-subject"},
	{authn.ErrNoLifetime, "no-lifetime"},
	{authn.ErrNotYetValid, "not-yet-valid"},
	{authn.ErrExpired, "expired"},
	{authn.ErrUnknownCaller, "unknown-caller"},
	{clientcert.ErrMalformed, "certificate-malformed"},
	{clientcert.ErrName, "certificate-name"},
	{clientcert.ErrUse, "certificate-use"},
	{clientcert.ErrNotYetValid, "certificate-not-yet-valid"},
	{clientcert.ErrExpired, "certificate-expired"},
	{clientcert.ErrUnknownCaller, "certificate-unknown-caller"},
	{authn.ErrMissing, "no-token"},
}

func failureReason(err error) string {
	for _, known := range failureReasons {
		if errors.Is(err, known.err) {
			return known.reason
		}
	}
	return "other"
}
