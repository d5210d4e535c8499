package authn

import (
	"crypto/ed25519"
	"time"
)

// peerTokenLifetime is how long a token for a peer is valid: long enough for one slow request.
const peerTokenLifetime = 5 * time.Minute

// SignForPeer signs a token with which the cluster subject asks the cluster
// audience for what scope covers. It is valid from a little before now: clocks
// differ, and a peer need not allow for that. Every program that asks peers uses it.
func SignForPeer(key ed25519.PrivateKey, subject, audience, scope string, now time.Time) (string, error) {
	return Sign(key, Token{
		Subject: subject, Audience: audience, Scope: scope,
		NotBefore: now.Add(-MaxClockSkew), Expires: now.Add(peerTokenLifetime),
	})
}
