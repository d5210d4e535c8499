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
	"github.com/deckhouse-mesh/istio/lib/tlsfiles"
)

// What can be wrong with a caller besides its token. The messages go back to
// the caller: each tells what is missing, none tells what is known here.
var (
	ErrNothing     = errors.New("neither a client certificate nor a bearer token")
	ErrCertificate = errors.New("the client certificate is not accepted")
	ErrAmbiguous   = errors.New("the client certificate does not tell which cluster this is, since another has the same root: a bearer token is needed")
	ErrDisagree    = errors.New("the client certificate and the bearer token are of different clusters")
)

// Identifier tells who a caller is.
type Identifier struct {
	Registry *Registry
	// ClusterUUID of this cluster, the audience that tokens must have.
	ClusterUUID string
	// IngressClients are the authorities of the ingress controller's certificate;
	// nil when no controller is to be believed.
	IngressClients *tlsfiles.Roots
	// Verified remembers the tokens that were accepted: an istiod shows the same one
	// with each request. nil means that every signature is checked every time.
	Verified *authn.VerifiedTokens
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// Identify accepts either proof. A certificate counts when it comes with the TLS
// connection itself, where the handshake has proved that the caller has its key,
// or when the ingress controller, which has proved itself in that way, says that
// it came with its own connection; no other header is believed. When both proofs are good they must be of the
// same cluster; when one is not, the other decides.
func (i Identifier) Identify(r *http.Request) (Peer, error) {
	roster := i.Registry.current.Load()
	byToken, tokenErr := i.byToken(roster, r.Header)
	byCertificate, certificateErr := i.byCertificate(roster, r)
	switch {
	case byToken != nil && byCertificate != nil && byToken != byCertificate:
		return Peer{}, ErrDisagree
	case byToken != nil:
		return Peer{i.Registry, byToken}, nil
	case byCertificate != nil:
		return Peer{i.Registry, byCertificate}, nil
	case !errors.Is(tokenErr, authn.ErrMissing):
		return Peer{}, tokenErr
	case !errors.Is(certificateErr, ErrNothing):
		return Peer{}, certificateErr
	default:
		return Peer{}, ErrNothing
	}
}

func (i Identifier) byToken(roster *roster, header http.Header) (*neighbour, error) {
	verifier := authn.Verifier{
		Audience: i.ClusterUUID,
		Now:      i.Now,
		Verified: i.Verified,
		Key: func(subject string) (ed25519.PublicKey, bool) {
			if known := roster.byUUID[subject]; known != nil && known.mayPass() {
				return known.key, true
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
	return roster.byUUID[subject], nil
}

// byCertificate asks the roots of neighbours of either kind: where clusters
// share a root, a certificate under it may be another's, perhaps of one that may
// not use the proxy.
func (i Identifier) byCertificate(roster *roster, r *http.Request) (*neighbour, error) {
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
	caller, err := roster.anchors.Verify(chain, now)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	mayPass := func(uuid string) bool { return roster.byUUID[uuid].mayPass() }
	switch {
	case !slices.ContainsFunc(caller.Owners, mayPass):
		return nil, fmt.Errorf("%w: %w", ErrCertificate, clientcert.ErrUnknownCaller)
	case len(caller.Owners) > 1:
		return nil, ErrAmbiguous
	default:
		return roster.byUUID[caller.Owners[0]], nil
	}
}

// reasons are the words for errors in metrics and audit lines.
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

// Reason names an error of Identify in one word.
func Reason(err error) string {
	for _, known := range reasons {
		if errors.Is(err, known.err) {
			return known.reason
		}
	}
	return "other"
}
