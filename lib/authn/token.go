package authn

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// Issuer of every token between clusters.
	Issuer = "d8-istio"

	// ScopePrivateFederation lets the caller read private/federation.json.
	ScopePrivateFederation = "private-federation"
	// ScopePrivateMulticluster lets the caller read private/multicluster.json.
	ScopePrivateMulticluster = "private-multicluster"
	// ScopeAPI lets the caller use the API proxy.
	ScopeAPI = "api"

	// MaxClockSkew is how far the clocks of two clusters may differ.
	MaxClockSkew = 60 * time.Second
)

// Token is what a cluster claims about itself to one other cluster.
type Token struct {
	// Subject is the clusterUUID of the caller, Audience that of the callee.
	Subject, Audience string
	// Scope is one of the Scope constants.
	Scope string
	// NotBefore and Expires bound the token's lifetime; both are required and have a precision of seconds.
	NotBefore, Expires time.Time
}

// Sign makes the JWT (EdDSA) for t. A token that no verifier would accept is an error.
func Sign(key ed25519.PrivateKey, t Token) (string, error) {
	if err := t.check(); err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	if len(key) != ed25519.PrivateKeySize {
		return "", errors.New("sign a token: the key is not an Ed25519 private key")
	}
	// aud is a plain string and not a list of one: a verifier need not know the list form.
	signed, err := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
		"iss": Issuer, "sub": t.Subject, "aud": t.Audience, "scope": t.Scope,
		"nbf": t.NotBefore.Unix(), "exp": t.Expires.Unix(),
	}).SignedString(key)
	if err != nil {
		return "", fmt.Errorf("sign a token for cluster %s: %w", t.Audience, err)
	}
	return signed, nil
}

func (t Token) check() error {
	switch {
	case t.Subject == "":
		return errors.New("the subject (own clusterUUID) is missing")
	case t.Audience == "":
		return errors.New("the audience (the peer's clusterUUID) is missing")
	case t.Scope == "":
		return errors.New("the scope is missing")
	case t.NotBefore.IsZero() || t.Expires.IsZero():
		return errors.New("nbf and exp are required")
	case !t.Expires.After(t.NotBefore):
		return errors.New("it would expire before it becomes valid")
	}
	return nil
}
