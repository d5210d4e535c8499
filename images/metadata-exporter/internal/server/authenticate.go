package server

import (
	"crypto/ed25519"
	"errors"
	"net/http"
	"strings"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/neighbours"
	"github.com/deckhouse-mesh/istio/lib/authn"
)

// audience is for whom a private document is: neighbours joined by a resource
// of this kind, with a token of this scope.
type audience struct{ kind, scope string }

// grant is the permission to read one document. The zero grant is for
// documents that anyone may read.
type grant struct {
	registry  *neighbours.Registry
	subject   string
	neighbour neighbours.Neighbour
}

// authenticate checks the caller's bearer token. A caller whose resource is of
// another kind is as unknown as a stranger (contract, "Who is a neighbour").
func (h *Handler) authenticate(r *http.Request, to audience) (grant, error) {
	permission := grant{registry: h.neighbours}
	verifier := authn.Verifier{
		Audience: h.clusterUUID,
		Now:      h.now,
		Key: func(subject string) (ed25519.PublicKey, bool) {
			neighbour, known := h.neighbours.Lookup(subject)
			permission.subject, permission.neighbour = subject, neighbour
			return neighbour.Key, known && neighbour.Kind == to.kind
		},
	}
	if _, err := verifier.Verify(bearerToken(r.Header), to.scope); err != nil {
		return grant{}, err
	}
	return permission, nil
}

func bearerToken(header http.Header) string {
	scheme, token, _ := strings.Cut(header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// changed is closed when the permission may have ended; nil when it cannot.
func (g grant) changed() <-chan struct{} {
	if g.registry == nil {
		return nil
	}
	return g.registry.Changed()
}

// stands is true while the caller is still the neighbour that was let in. The
// token's life does not matter: it was valid when the request began.
func (g grant) stands() bool {
	if g.registry == nil {
		return true
	}
	neighbour, known := g.registry.Lookup(g.subject)
	return known && neighbour.Kind == g.neighbour.Kind && neighbour.Key.Equal(g.neighbour.Key)
}

// failureReasons are the label values of the metric for what authn can refuse.
var failureReasons = []struct {
	err    error
	reason string
}{
	{authn.ErrMissing, "no-token"},
	{authn.ErrMalformed, "malformed"},
	{authn.ErrIssuer, "issuer"},
	{authn.ErrAudience, "audience"},
	{authn.ErrScope, "scope"},
	{authn.ErrSubject, "no-subject"},
	{authn.ErrNoLifetime, "no-lifetime"},
	{authn.ErrNotYetValid, "not-yet-valid"},
	{authn.ErrExpired, "expired"},
	{authn.ErrUnknownCaller, "unknown-caller"},
}

func failureReason(err error) string {
	for _, known := range failureReasons {
		if errors.Is(err, known.err) {
			return known.reason
		}
	}
	return "other"
}
