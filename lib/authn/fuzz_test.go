package authn_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/authn"
)

var verifyErrors = []error{
	authn.ErrMissing, authn.ErrMalformed, authn.ErrIssuer, authn.ErrAudience, authn.ErrScope, authn.ErrSubject,
	authn.ErrNoLifetime, authn.ErrNotYetValid, authn.ErrExpired, authn.ErrUnknownCaller,
}

// FuzzVerify looks for a token that passes though the peer's key has not
// signed exactly its content, and for input that makes Verify panic.
func FuzzVerify(f *testing.F) {
	const audience, subject = "uuid-a", "uuid-b"
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	sign := func(signer ed25519.PrivateKey, change func(*authn.Token)) string {
		token := authn.Token{Subject: subject, Audience: audience, Scope: authn.ScopePrivateFederation,
			NotBefore: at.Add(-time.Minute), Expires: at.Add(time.Minute)}
		change(&token)
		signed, err := authn.Sign(signer, token)
		if err != nil {
			f.Fatal(err)
		}
		return signed
	}
	good := sign(key, func(*authn.Token) {})
	encode := base64.RawURLEncoding.EncodeToString
	payload := strings.Split(good, ".")[1]
	for _, seed := range []string{
		"", ".", "..", "a.b.c", good, good + "=", good[:len(good)-1], good + ".x", strings.ToUpper(good),
		sign(key, func(t *authn.Token) { t.Audience = "uuid-c" }),
		sign(key, func(t *authn.Token) { t.Scope = authn.ScopeAPI }),
		sign(key, func(t *authn.Token) { t.Subject = "uuid-c" }),
		sign(key, func(t *authn.Token) { t.NotBefore, t.Expires = at.Add(time.Hour), at.Add(2*time.Hour) }),
		sign(key, func(t *authn.Token) { t.NotBefore, t.Expires = at.Add(-2*time.Hour), at.Add(-time.Hour) }),
		sign(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, ed25519.SeedSize)), func(*authn.Token) {}),
		encode([]byte(`{"alg":"none"}`)) + "." + payload + ".",
		encode([]byte(`{"alg":"HS256"}`)) + "." + payload + "." + encode([]byte("mac")),
		encode([]byte(`{"alg":"EdDSA","crit":["x"]}`)) + "." + payload + "." + encode(make([]byte, 64)),
		encode([]byte(`{"alg":"EdDSA"}`)) + "." + encode([]byte(`{"sub":"uuid-b","aud":[1],"exp":1e400}`)) + ".",
	} {
		f.Add(seed)
	}
	verifier := authn.Verifier{Audience: audience, Now: func() time.Time { return at }, Key: func(who string) (ed25519.PublicKey, bool) {
		return key.Public().(ed25519.PublicKey), who == subject
	}}
	f.Fuzz(func(t *testing.T, raw string) {
		who, err := verifier.Verify(raw, authn.ScopePrivateFederation)
		if err == nil {
			// The fuzzer cannot sign: only the very seed passes.
			if raw != good || who != subject {
				t.Fatalf("%q passed as %q", raw, who)
			}
			return
		}
		if who != "" {
			t.Fatalf("rejected, but the caller is %q", who)
		}
		for _, known := range verifyErrors {
			if errors.Is(err, known) {
				return
			}
		}
		t.Fatalf("an error nobody expects: %v", err)
	})
}

// FuzzParseKeys checks that accepted text is a key, and that errors reveal nothing of a private key.
func FuzzParseKeys(f *testing.F) {
	pair, err := authn.GenerateKeypair()
	if err != nil {
		f.Fatal(err)
	}
	secret := strings.Split(pair.Priv, "\n")[1][24:48]
	for _, seed := range []string{"", pair.Priv, pair.Pub, pair.Priv + pair.Pub, "\n" + pair.Pub, pair.Pub[:40],
		strings.ReplaceAll(pair.Pub, "ED25519 ", ""), "-----BEGIN ED25519 PUBLIC KEY-----\nAAAA\n-----END ED25519 PUBLIC KEY-----\n",
		"-----BEGIN ED25519 PRIVATE KEY-----\nsecret: x\n\n-----END ED25519 PRIVATE KEY-----\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		public, err := authn.ParsePublicKey(text)
		if err == nil && len(public) != ed25519.PublicKeySize {
			t.Fatalf("a public key of %d bytes", len(public))
		}
		private, err := authn.ParsePrivateKey(text)
		if err == nil && len(private) != ed25519.PrivateKeySize {
			t.Fatalf("a private key of %d bytes", len(private))
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Fatalf("the error tells the key: %v", err)
		}
	})
}
