package authn_test

import (
	"crypto/ed25519"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/authn"
)

// remembered is a callee that has just accepted a token and remembers it.
type remembered struct {
	verifier authn.Verifier
	raw      string
	now      time.Time
	// keys are the peers' current ones.
	keys   map[string]ed25519.PublicKey
	caller ed25519.PrivateKey
}

func rememberOne(t *testing.T) *remembered {
	t.Helper()
	p := newParties(t)
	r := &remembered{
		raw: signClaims(t, p.caller, goodClaims(), nil), now: now, caller: p.caller,
		keys: map[string]ed25519.PublicKey{caller: p.caller.Public().(ed25519.PublicKey)},
	}
	r.verifier = authn.Verifier{
		Audience: callee,
		Now:      func() time.Time { return r.now },
		Key: func(subject string) (ed25519.PublicKey, bool) {
			key, known := r.keys[subject]
			return key, known
		},
		Verified: authn.NewVerifiedTokens(),
	}
	if subject, err := r.verifier.Verify(r.raw, authn.ScopePrivateFederation); err != nil || subject != caller {
		t.Fatalf("Verify() = %q, %v", subject, err)
	}
	return r
}

func TestARememberedTokenIsJudgedLikeANewOne(t *testing.T) {
	otherKey := newParties(t).stranger.Public().(ed25519.PublicKey)
	for name, test := range map[string]struct {
		happens func(r *remembered)
		scope   string
		want    error
	}{
		"nothing happened":                         {func(*remembered) {}, authn.ScopePrivateFederation, nil},
		"another peer came":                        {func(r *remembered) { r.keys["other"] = otherKey }, authn.ScopePrivateFederation, nil},
		"its clock's tolerance is not over yet":    {func(r *remembered) { r.now = now.Add(119 * time.Second) }, authn.ScopePrivateFederation, nil},
		"it expired":                               {func(r *remembered) { r.now = now.Add(2 * time.Minute) }, authn.ScopePrivateFederation, authn.ErrExpired},
		"it expired long ago":                      {func(r *remembered) { r.now = now.Add(time.Hour) }, authn.ScopePrivateFederation, authn.ErrExpired},
		"the clock was set back":                   {func(r *remembered) { r.now = now.Add(-time.Hour) }, authn.ScopePrivateFederation, authn.ErrNotYetValid},
		"it is sent where another scope is needed": {func(*remembered) {}, authn.ScopePrivateMulticluster, authn.ErrScope},
		"it is sent to the API proxy":              {func(*remembered) {}, authn.ScopeAPI, authn.ErrScope},
		"no scope is asked for":                    {func(*remembered) {}, "", authn.ErrMalformed},
		"this cluster has another UUID":            {func(r *remembered) { r.verifier.Audience = "other" }, authn.ScopePrivateFederation, authn.ErrAudience},
		"the peer was removed":                     {func(r *remembered) { delete(r.keys, caller) }, authn.ScopePrivateFederation, authn.ErrUnknownCaller},
		"the peer's key was rotated":               {func(r *remembered) { r.keys[caller] = otherKey }, authn.ScopePrivateFederation, authn.ErrUnknownCaller},
		"the peer has no usable key any more":      {func(r *remembered) { r.keys[caller] = nil }, authn.ScopePrivateFederation, authn.ErrUnknownCaller},
		"its signature is another's": {func(r *remembered) {
			r.raw = r.raw[:strings.LastIndexByte(r.raw, '.')+1] + strings.Repeat("A", 86)
		}, authn.ScopePrivateFederation, authn.ErrUnknownCaller},
		"its signature is missing": {func(r *remembered) { r.raw = r.raw[:strings.LastIndexByte(r.raw, '.')+1] }, authn.ScopePrivateFederation, authn.ErrUnknownCaller},
		"it is padded":             {func(r *remembered) { r.raw += "==" }, authn.ScopePrivateFederation, authn.ErrMalformed},
		"it is broken over lines":  {func(r *remembered) { r.raw = r.raw[:9] + "\n" + r.raw[9:] }, authn.ScopePrivateFederation, authn.ErrMalformed},
		"it is shortened":          {func(r *remembered) { r.raw = r.raw[:len(r.raw)-1] }, authn.ScopePrivateFederation, authn.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			r := rememberOne(t)
			test.happens(r)
			for range 2 { // a rejection must not leave anything behind, either
				subject, err := r.verifier.Verify(r.raw, test.scope)
				if !errors.Is(err, test.want) {
					t.Fatalf("Verify() = %v, want %v", err, test.want)
				}
				if want := map[bool]string{true: caller}[test.want == nil]; subject != want {
					t.Errorf("subject = %q, want %q", subject, want)
				}
			}
		})
	}
}

func TestATokenIsAcceptedAgainWhenItsPeerIsBack(t *testing.T) {
	r := rememberOne(t)
	key := r.keys[caller]
	delete(r.keys, caller)
	if _, err := r.verifier.Verify(r.raw, authn.ScopePrivateFederation); !errors.Is(err, authn.ErrUnknownCaller) {
		t.Fatalf("without the peer: %v", err)
	}
	r.keys[caller] = key
	if _, err := r.verifier.Verify(r.raw, authn.ScopePrivateFederation); err != nil {
		t.Errorf("with the peer again: %v", err)
	}
}

func TestARejectedTokenIsNotRemembered(t *testing.T) {
	for name, rejected := range map[string]func(r *remembered) (raw, scope string){
		"a token of an unknown cluster": func(r *remembered) (string, string) {
			return signClaims(t, newParties(t).stranger, goodClaims(), nil), authn.ScopePrivateFederation
		},
		"a token that has expired": func(r *remembered) (string, string) {
			claims := goodClaims()
			claims["exp"] = now.Add(-time.Hour).Unix()
			return signClaims(t, r.caller, claims, nil), authn.ScopePrivateFederation
		},
		"a token sent where another scope is needed": func(r *remembered) (string, string) {
			claims := goodClaims()
			claims["jti"] = "another"
			return signClaims(t, r.caller, claims, nil), authn.ScopeAPI
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := rememberOne(t)
			before := r.verifier.Verified.Len()
			raw, scope := rejected(r)
			if _, err := r.verifier.Verify(raw, scope); err == nil {
				t.Fatal("accepted")
			}
			if after := r.verifier.Verified.Len(); before != 1 || after != 1 {
				t.Errorf("%d tokens are remembered, %d before", after, before)
			}
		})
	}
}

func TestTheNumberOfRememberedTokensIsBounded(t *testing.T) {
	r := rememberOne(t)
	for index := range 1100 {
		claims := goodClaims()
		claims["jti"] = strconv.Itoa(index)
		raw := signClaims(t, r.caller, claims, nil)
		if _, err := r.verifier.Verify(raw, authn.ScopePrivateFederation); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.verifier.Verified.Len(); got != 1024 {
		t.Errorf("%d tokens are remembered", got)
	}
	if _, err := r.verifier.Verify(r.raw, authn.ScopePrivateFederation); err != nil {
		t.Errorf("the forgotten token: %v", err)
	}
}

func BenchmarkVerifyRemembered(b *testing.B) {
	p := newParties(b)
	p.verifier.Verified = authn.NewVerifiedTokens()
	raw := signClaims(b, p.caller, goodClaims(), nil)
	for b.Loop() {
		if _, err := p.verifier.Verify(raw, authn.ScopePrivateFederation); err != nil {
			b.Fatal(err)
		}
	}
}
