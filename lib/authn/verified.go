package authn

import (
	"crypto/ed25519"
	"crypto/sha256"

	lru "github.com/hashicorp/golang-lru/v2"
)

// maxVerifiedTokens bounds the remembered tokens; each needs about 600 bytes.
const maxVerifiedTokens = 1024

// VerifiedTokens remembers the tokens of peers whose signature was verified, so
// that the next request with the same token costs a hash, 2 microseconds, instead of
// a signature, 160. It changes no answer:
//
//   - Only accepted tokens are remembered: nobody except a peer can add one.
//   - A remembered signature counts only under the key with which it was verified,
//     and only while that is the caller's current key. So it ends with the peer or
//     its key, without a notification.
//   - Verifier checks issuer, audience, scope and time for each request.
//
// The least recently used token makes room for another. nil remembers nothing; use
// NewVerifiedTokens. It may be used concurrently.
type VerifiedTokens struct {
	byHash *lru.Cache[[sha256.Size]byte, verified]
}

// verified is a token's claims and the key that verified them.
type verified struct {
	claims claims
	key    ed25519.PublicKey
}

// NewVerifiedTokens makes an empty memory.
func NewVerifiedTokens() *VerifiedTokens {
	byHash, err := lru.New[[sha256.Size]byte, verified](maxVerifiedTokens)
	if err != nil { // only for a size that is not positive
		panic(err)
	}
	return &VerifiedTokens{byHash}
}

// recall returns the claims of a token that was verified with the key its caller has now.
func (t *VerifiedTokens) recall(raw string, keyOf func(subject string) (ed25519.PublicKey, bool)) (claims, bool) {
	if t == nil {
		return claims{}, false
	}
	hash := hashOf(raw)
	known, found := t.byHash.Get(hash)
	if !found {
		return claims{}, false
	}
	if key, isPeer := keyOf(known.claims.Subject); !isPeer || !known.key.Equal(key) {
		t.byHash.Remove(hash)
		return claims{}, false
	}
	return known.claims, true
}

// remember remembers an accepted token.
func (t *VerifiedTokens) remember(raw string, accepted claims, key ed25519.PublicKey) {
	if t != nil {
		t.byHash.Add(hashOf(raw), verified{accepted, key})
	}
}

// Len counts the tokens that are remembered.
func (t *VerifiedTokens) Len() int { return t.byHash.Len() }

// hashOf covers the whole token, with the very signature that was verified.
func hashOf(raw string) [sha256.Size]byte { return sha256.Sum256([]byte(raw)) }
