package server

import (
	"crypto/ed25519"
	"errors"
	"net/http"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/clientcert"
)

// audience of a private document: peers accepted for a resource of this kind,
// which prove themselves by a token of this scope or a client certificate.
type audience struct{ kind, scope string }

// rejection is why neither proof was accepted. Both messages go back to the
// caller: they name what is missing, and reveal nothing of what is known here.
type rejection struct{ token, certificate error }

func (r *rejection) Error() string {
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

func (r *rejection) Unwrap() []error { return []error{r.token, r.certificate} }

// authenticate identifies the caller as a peer of the audience to. Either proof
// is enough; one that proves nothing does not invalidate the other. The token is
// verified first, because it names the caller exactly: clusters may share a root.
// A caller whose resource is of another kind is treated as unknown (contract,
// "Who is a peer").
func (h *Handler) authenticate(r *http.Request, to audience) (grant, error) {
	byToken, tokenErr := h.authenticateToken(r, to)
	if tokenErr == nil {
		return byToken, nil
	}
	byCertificate, certificateErr := h.authenticateCertificate(r, to)
	if certificateErr == nil {
		return byCertificate, nil
	}
	return grant{}, &rejection{tokenErr, certificateErr}
}

func (h *Handler) authenticateToken(r *http.Request, to audience) (grant, error) {
	permission := grant{registry: h.Peers, kind: to.kind}
	verifier := authn.Verifier{
		Audience: h.ClusterUUID,
		Now:      h.Now,
		Verified: h.verified,
		Key: func(subject string) (ed25519.PublicKey, bool) {
			peer := h.Peers.Current().Lookup(subject)
			if peer == nil || peer.Kind != to.kind {
				return nil, false
			}
			permission.caller, permission.key = subject, peer.Key
			return peer.Key, true
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
	chain, err := clientcert.OfRequest(r, h.IngressClients.Current(), h.Now())
	if err != nil {
		return grant{}, err
	}
	caller, err := h.Peers.Current().AllowedAnchors(to.kind).Verify(chain, h.Now())
	if err != nil {
		return grant{}, err
	}
	// Of clusters that share a root the caller may be any; the first one is counted.
	return grant{registry: h.Peers, kind: to.kind, caller: caller.Owners[0], anchors: caller.Anchors}, nil
}

// failureReasons are the label values of the metric for rejected credentials.
// Those of tokens come first: a caller that gave both proofs is counted once.
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
