// Package callers identifies those who ask the API proxy: the peers of the
// IstioMulticluster resources that the operator has accepted and that exist, which
// prove themselves by a client certificate or a token (contract, "Who is a
// peer").
package callers

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/clientcert"
	"github.com/deckhouse-mesh/istio/lib/peers"
	"github.com/deckhouse-mesh/istio/lib/tlsfiles"
)

// What can be wrong with a caller besides its token. The messages go back to
// the caller: each names what is missing, none reveals what is known here.
var (
	ErrNothing     = errors.New("neither a client certificate nor a bearer token")
	ErrCertificate = errors.New("the client certificate is not accepted")
	ErrAmbiguous   = errors.New("the client certificate does not identify one cluster, because its root is, or was, not of one cluster alone: send a bearer token")
	ErrDisagree    = errors.New("the client certificate and the bearer token are of different clusters")
)

// Identifier identifies callers.
type Identifier struct {
	Registry *peers.Registry
	// ClusterUUID of this cluster, the audience that tokens must have.
	ClusterUUID string
	// IngressClients are the authorities of the ingress controller's certificate;
	// nil when no controller is trusted.
	IngressClients *tlsfiles.Roots
	// Verified remembers accepted tokens: an istiod sends the same one with each
	// request. nil means that every signature is checked every time.
	Verified *authn.VerifiedTokens
	// Now returns the time; nil means time.Now.
	Now func() time.Time
}

// Identify accepts either proof. A certificate counts when it comes with the TLS
// connection itself, where the handshake has proved that the caller has its key,
// or when the ingress controller, which has proved itself in that way, states that
// it came with the caller's connection; no other header is trusted. Two good proofs
// must be of the same cluster; when one is not good, the other decides.
func (i Identifier) Identify(r *http.Request) (Peer, error) {
	known := i.Registry.Current()
	byToken, tokenErr := i.byToken(known, r.Header)
	byCertificate, certificateErr := i.byCertificate(known, r)
	switch {
	case byToken != nil && byCertificate != nil && byToken != byCertificate:
		return Peer{}, ErrDisagree
	case byToken != nil:
		return Peer{byToken, i.Registry}, nil
	case byCertificate != nil:
		return Peer{byCertificate, i.Registry}, nil
	case !errors.Is(tokenErr, authn.ErrMissing):
		return Peer{}, tokenErr
	case !errors.Is(certificateErr, ErrNothing):
		return Peer{}, certificateErr
	default:
		return Peer{}, ErrNothing
	}
}

func (i Identifier) byToken(known *peers.Snapshot, header http.Header) (*peers.Peer, error) {
	verifier := authn.Verifier{
		Audience: i.ClusterUUID,
		Now:      i.Now,
		Verified: i.Verified,
		Key: func(subject string) (ed25519.PublicKey, bool) {
			if peer := known.Lookup(subject); peer != nil {
				return peer.Key, true
			}
			return nil, false
		},
	}
	token, err := authn.BearerToken(header)
	if err != nil {
		return nil, err
	}
	subject, err := verifier.Verify(token, authn.ScopeAPI)
	if err != nil {
		return nil, err
	}
	return known.Lookup(subject), nil
}

// byCertificate verifies with the roots of all accepted peers: where clusters
// share a root, a certificate below it may be another's, perhaps of one that may
// not use the proxy. The operator remembers roots that two have ever named: a
// certificate of the one that was deleted does not become the other's.
func (i Identifier) byCertificate(known *peers.Snapshot, r *http.Request) (*peers.Peer, error) {
	now := time.Now()
	if i.Now != nil {
		now = i.Now()
	}
	chain, err := clientcert.OfRequest(r, i.IngressClients.Current(), now)
	if errors.Is(err, clientcert.ErrMissing) {
		return nil, ErrNothing
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	caller, err := known.Anchors().Verify(chain, now)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	allowed := func(clusterUUID string) bool { return known.Lookup(clusterUUID) != nil }
	switch {
	case !slices.ContainsFunc(caller.Owners, allowed):
		return nil, fmt.Errorf("%w: %w", ErrCertificate, clientcert.ErrUnknownCaller)
	case known.Ambiguous(caller):
		return nil, ErrAmbiguous
	default:
		return known.Lookup(caller.Owners[0]), nil
	}
}

// reasons name errors in metrics and audit lines.
var reasons = []struct {
	err    error
	reason string
}{
	{ErrNothing, "no-credentials"},
	{ErrCertificate, "certificate"},
	{ErrAmbiguous, "certificate-ambiguous"},
	{ErrDisagree, "credentials-disagree"},
	{authn.ErrMalformed, "token-malformed"},
	{authn.ErrSeveralHeaders, "token-malformed"},
	{authn.ErrIssuer, "token-issuer"},
	{authn.ErrAudience, "token-audience"},
	{authn.ErrScope, "token-scope"},
	{authn.ErrSubject, "token-no-subject"},
	{authn.ErrNoLifetime, "token-no-lifetime"},
	{authn.ErrNotYetValid, "token-not-yet-valid"},
	{authn.ErrExpired, "token-expired"},
	{authn.ErrUnknownCaller, "token-unknown-caller"},
}

// Reason is the name of an error of Identify.
func Reason(err error) string {
	for _, known := range reasons {
		if errors.Is(err, known.err) {
			return known.reason
		}
	}
	return "other"
}
