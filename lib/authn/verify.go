package authn

import (
	"crypto/ed25519"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// What can be wrong with a token. The messages go back to the caller: each names
// what to change, none reveals what this cluster knows or expects.
var (
	ErrMissing = errors.New("no bearer token")
	// ErrSeveralHeaders is BearerToken's.
	ErrSeveralHeaders = errors.New("the request has more than one Authorization header: send one")
	ErrMalformed      = errors.New("the token is not a signed JWT with EdDSA (Ed25519) and valid claims")
	ErrIssuer         = errors.New("the token's iss is missing or not " + Issuer)
	ErrAudience       = errors.New("the token's aud is missing or not this cluster's UUID")
	ErrScope          = errors.New("the token's scope is missing or not the one for this path")
	ErrSubject        = errors.New("the token has no sub (the caller's cluster UUID)")
	ErrNoLifetime     = errors.New("the token lacks nbf or exp")
	ErrNotYetValid    = errors.New("the token is not valid yet (nbf): compare the clocks of both clusters")
	ErrExpired        = errors.New("the token has expired (exp)")
	// ErrUnknownCaller covers an unknown caller and a signature that is not the known
	// caller's: distinguishing them would reveal which clusters are known.
	ErrUnknownCaller = errors.New("the caller is unknown here, or the token is not signed with its key")
)

// claims are those that Verify reads; aud may be a string or a list (RFC 7519, section 4.1.3).
type claims struct {
	jwt.RegisteredClaims
	Scope string `json:"scope"`
}

// maxTokenLength bounds the work for a token, in bytes; real ones have about 400.
const maxTokenLength = 4096

// Verifier checks tokens that were made for one cluster.
type Verifier struct {
	// Audience is the clusterUUID of this cluster.
	Audience string
	// Now returns the time; nil means time.Now.
	Now func() time.Time
	// Key returns the public key of the cluster with the UUID subject, or false when it is no peer.
	Key func(subject string) (ed25519.PublicKey, bool)
	// Verified remembers verified tokens; nil means that every signature is verified every time.
	Verified *VerifiedTokens
}

// Verify checks raw, a JWT without "Bearer ", and returns the clusterUUID of
// the caller. err is one of the Err variables.
//
// The signature is verified before the claims are checked, so a caller that cannot
// sign as a peer learns only that the token is malformed or unknown.
func (v Verifier) Verify(raw, scope string) (subject string, err error) {
	switch {
	case raw == "":
		return "", ErrMissing
	// Go's base64 skips line breaks, which would give one token many spellings.
	case len(raw) > maxTokenLength, strings.ContainsAny(raw, "\r\n"), v.Audience == "", scope == "":
		return "", ErrMalformed
	}
	got, remembered := v.Verified.recall(raw, v.Key)
	var key ed25519.PublicKey
	if !remembered {
		if got, key, err = v.parse(raw); err != nil {
			return "", err
		}
	}
	// Claims are checked each time: they may not hold for another path, or at another time.
	if err := v.checkClaims(got, scope); err != nil {
		return "", err
	}
	if !remembered {
		v.Verified.remember(raw, got, key)
	}
	return got.Subject, nil
}

// parse verifies the signature, and returns the claims and the key it was made with.
func (v Verifier) parse(raw string) (got claims, key ed25519.PublicKey, err error) {
	parser := jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding())
	_, err = parser.ParseWithClaims(raw, &got, func(token *jwt.Token) (any, error) {
		// An extension that must be understood (RFC 7515, section 4.1.11): none is supported.
		if _, critical := token.Header["crit"]; critical {
			return nil, ErrMalformed
		}
		if got.Subject == "" {
			return nil, ErrSubject
		}
		var known bool
		if key, known = v.Key(got.Subject); !known || len(key) != ed25519.PublicKeySize {
			return nil, ErrUnknownCaller
		}
		return key, nil
	})
	if err != nil {
		return claims{}, nil, parseError(err)
	}
	return got, key, nil
}

func parseError(err error) error {
	for _, known := range []error{ErrSubject, ErrUnknownCaller} {
		if errors.Is(err, known) {
			return known
		}
	}
	// jwt reports a wrong alg as an invalid signature, too; only a signature that was
	// really verified may be reported as "unknown".
	if errors.Is(err, jwt.ErrEd25519Verification) {
		return ErrUnknownCaller
	}
	return ErrMalformed
}

func (v Verifier) checkClaims(got claims, scope string) error {
	now := time.Now
	if v.Now != nil {
		now = v.Now
	}
	switch at := now(); {
	case got.Issuer != Issuer:
		return ErrIssuer
	case !slices.Contains(got.Audience, v.Audience):
		return ErrAudience
	case got.Scope != scope:
		return ErrScope
	case got.NotBefore == nil, got.ExpiresAt == nil:
		return ErrNoLifetime
	case got.NotBefore.After(at.Add(MaxClockSkew)):
		return ErrNotYetValid
	case !got.ExpiresAt.After(at.Add(-MaxClockSkew)):
		return ErrExpired
	}
	return nil
}
