package authn_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/deckhouse-mesh/istio/lib/authn"
)

const (
	caller = "11111111-aaaa-4aaa-8aaa-000000000001"
	callee = "22222222-bbbb-4bbb-8bbb-000000000002"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

type parties struct {
	caller, stranger ed25519.PrivateKey
	verifier         authn.Verifier
}

func newParties(tb testing.TB) parties {
	tb.Helper()
	keypair := newKeypair(tb)
	priv, err := authn.ParsePrivateKey(keypair.Priv)
	if err != nil {
		tb.Fatal(err)
	}
	pub, err := authn.ParsePublicKey(keypair.Pub)
	if err != nil {
		tb.Fatal(err)
	}
	stranger, err := authn.ParsePrivateKey(newKeypair(tb).Priv)
	if err != nil {
		tb.Fatal(err)
	}
	return parties{caller: priv, stranger: stranger, verifier: authn.Verifier{
		Audience: callee,
		Now:      func() time.Time { return now },
		Key:      func(subject string) (ed25519.PublicKey, bool) { return pub, subject == caller },
	}}
}

func goodToken() authn.Token {
	return authn.Token{
		Subject: caller, Audience: callee, Scope: authn.ScopePrivateFederation,
		NotBefore: now.Add(-time.Second), Expires: now.Add(time.Minute),
	}
}

func goodClaims() jwt.MapClaims {
	return jwt.MapClaims{
		"iss": authn.Issuer, "aud": callee, "sub": caller, "scope": authn.ScopePrivateFederation,
		"nbf": now.Add(-time.Second).Unix(), "exp": now.Add(time.Minute).Unix(),
	}
}

func TestASignedTokenIsAcceptedByItsAudience(t *testing.T) {
	p := newParties(t)
	for _, scope := range []string{authn.ScopePrivateFederation, authn.ScopePrivateMulticluster, authn.ScopeAPI} {
		token := goodToken()
		token.Scope = scope
		raw, err := authn.Sign(p.caller, token)
		if err != nil {
			t.Fatal(err)
		}
		subject, err := p.verifier.Verify(raw, scope)
		if err != nil || subject != caller {
			t.Errorf("Verify(%s) = %q, %v; want %q", scope, subject, err, caller)
		}
	}
}

func TestTheWireFormIsThatOfTheContract(t *testing.T) {
	p := newParties(t)
	raw, err := authn.Sign(p.caller, goodToken())
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(raw, ".")
	for part, want := range map[string]map[string]any{
		parts[0]: {"alg": "EdDSA", "typ": "JWT"},
		parts[1]: {"iss": "d8-istio", "aud": callee, "sub": caller, "scope": "private-federation",
			"nbf": float64(now.Unix() - 1), "exp": float64(now.Unix() + 60)},
	} {
		decoded, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(decoded, &got); err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Errorf("got %v, want %v", got, want)
		}
		for key, value := range want {
			if got[key] != value {
				t.Errorf("%s = %v, want %v", key, got[key], value)
			}
		}
	}
}

func TestSignRejectsATokenThatNoVerifierAccepts(t *testing.T) {
	p := newParties(t)
	for name, change := range map[string]func(*authn.Token){
		"no subject":                   func(t *authn.Token) { t.Subject = "" },
		"no audience":                  func(t *authn.Token) { t.Audience = "" },
		"no scope":                     func(t *authn.Token) { t.Scope = "" },
		"no beginning":                 func(t *authn.Token) { t.NotBefore = time.Time{} },
		"no end":                       func(t *authn.Token) { t.Expires = time.Time{} },
		"an end that is the beginning": func(t *authn.Token) { t.Expires = t.NotBefore },
	} {
		t.Run(name, func(t *testing.T) {
			token := goodToken()
			change(&token)
			if raw, err := authn.Sign(p.caller, token); err == nil {
				t.Errorf("signed %s", raw)
			}
		})
	}
	if _, err := authn.Sign(nil, goodToken()); err == nil {
		t.Error("signed without a key")
	}
}

func TestVerifyReportsTheProblem(t *testing.T) {
	p := newParties(t)
	signed := func(change func(claims jwt.MapClaims)) string {
		claims := goodClaims()
		change(claims)
		return signClaims(t, p.caller, claims, nil)
	}
	without := func(claim string) string {
		return signed(func(claims jwt.MapClaims) { delete(claims, claim) })
	}
	with := func(claim string, value any) string {
		return signed(func(claims jwt.MapClaims) { claims[claim] = value })
	}
	good := signed(func(jwt.MapClaims) {})
	hmac, err := jwt.NewWithClaims(jwt.SigningMethodHS256, goodClaims()).SignedString([]byte(p.caller.Public().(ed25519.PublicKey)))
	if err != nil {
		t.Fatal(err)
	}
	unsigned, err := jwt.NewWithClaims(jwt.SigningMethodNone, goodClaims()).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good, ".")

	for name, test := range map[string]struct {
		raw  string
		want error
	}{
		"a good token":                                 {good, nil},
		"aud as a list that holds this cluster":        {with("aud", []string{"other", callee}), nil},
		"nothing":                                      {"", authn.ErrMissing},
		"no JWT":                                       {"abc", authn.ErrMalformed},
		"two parts only":                               {parts[0] + "." + parts[1], authn.ErrMalformed},
		"four parts":                                   {good + ".x", authn.ErrMalformed},
		"padding in the signature":                     {good + "==", authn.ErrMalformed},
		"a line break in the signature":                {good[:len(good)-5] + "\n" + good[len(good)-5:], authn.ErrMalformed},
		"white space around it":                        {" " + good, authn.ErrMalformed},
		"claims that are no JSON":                      {parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte("{")) + "." + parts[2], authn.ErrMalformed},
		"claims that are null":                         {parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte("null")) + "." + parts[2], authn.ErrSubject},
		"a token of megabytes":                         {strings.Repeat("a", 1<<20), authn.ErrMalformed},
		"an HMAC with the public key as the secret":    {hmac, authn.ErrMalformed},
		"no signature, alg none":                       {unsigned, authn.ErrMalformed},
		"an extension that must be understood":         {signClaims(t, p.caller, goodClaims(), map[string]any{"crit": []string{"b64"}, "b64": false}), authn.ErrMalformed},
		"another cluster's own key in the header, jwk": {signClaims(t, p.stranger, goodClaims(), map[string]any{"jwk": map[string]any{"kty": "OKP", "crv": "Ed25519", "x": base64.RawURLEncoding.EncodeToString(p.stranger.Public().(ed25519.PublicKey))}}), authn.ErrUnknownCaller},
		"an address to fetch the key from, jku":        {signClaims(t, p.stranger, goodClaims(), map[string]any{"jku": "https://127.0.0.1/keys", "x5u": "https://127.0.0.1/chain"}), authn.ErrUnknownCaller},
		"a kid that leads out of a folder":             {signClaims(t, p.stranger, goodClaims(), map[string]any{"kid": "../../dev/null"}), authn.ErrUnknownCaller},
		"a kid on a good token means nothing":          {signClaims(t, p.caller, goodClaims(), map[string]any{"kid": "' OR 1=1"}), nil},
		"the caller's sub in capitals":                 {with("sub", strings.ToUpper(caller)), authn.ErrUnknownCaller},
		"no sub":                                       {without("sub"), authn.ErrSubject},
		"an unknown sub":                               {with("sub", "nobody"), authn.ErrUnknownCaller},
		"a known sub, signed by another cluster":       {signClaims(t, p.stranger, goodClaims(), nil), authn.ErrUnknownCaller},
		"a changed claim under the old signature":      {parts[0] + "." + strings.Split(with("scope", authn.ScopeAPI), ".")[1] + "." + parts[2], authn.ErrUnknownCaller},
		"an empty signature":                           {parts[0] + "." + parts[1] + ".", authn.ErrUnknownCaller},
		"no iss":                                       {without("iss"), authn.ErrIssuer},
		"another iss":                                  {with("iss", "someone"), authn.ErrIssuer},
		"no aud":                                       {without("aud"), authn.ErrAudience},
		"another cluster's aud":                        {with("aud", caller), authn.ErrAudience},
		"no scope":                                     {without("scope"), authn.ErrScope},
		"another path's scope":                         {with("scope", authn.ScopePrivateMulticluster), authn.ErrScope},
		"two scopes in one":                            {with("scope", "private-federation api"), authn.ErrScope},
		"no nbf":                                       {without("nbf"), authn.ErrNoLifetime},
		"no exp":                                       {without("exp"), authn.ErrNoLifetime},
		"an exp that is a word":                        {with("exp", "never"), authn.ErrMalformed},
		"begun by a clock a minute ahead":              {with("nbf", now.Add(time.Minute).Unix()), nil},
		"not begun a minute and a second from now":     {with("nbf", now.Add(61*time.Second).Unix()), authn.ErrNotYetValid},
		"ended 59 seconds ago":                         {with("exp", now.Add(-59*time.Second).Unix()), nil},
		"ended a minute ago":                           {with("exp", now.Add(-time.Minute).Unix()), authn.ErrExpired},
	} {
		t.Run(name, func(t *testing.T) {
			remembering := p.verifier
			remembering.Verified = authn.NewVerifiedTokens()
			for _, verifier := range []authn.Verifier{p.verifier, remembering, remembering} {
				subject, err := verifier.Verify(test.raw, authn.ScopePrivateFederation)
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

func TestAVerifierWithoutAnAudienceAcceptsNothing(t *testing.T) {
	p := newParties(t)
	p.verifier.Audience = ""
	claims := goodClaims()
	claims["aud"] = ""
	if _, err := p.verifier.Verify(signClaims(t, p.caller, claims, nil), authn.ScopePrivateFederation); err == nil {
		t.Error("accepted a token without an audience")
	}
}

func FuzzVerifyAcceptsNothingButTheCallersToken(f *testing.F) {
	p := newParties(f)
	good := signClaims(f, p.caller, goodClaims(), nil)
	f.Add(good)
	f.Add(signClaims(f, p.stranger, goodClaims(), nil))
	f.Add("")
	f.Add("a.b.c")
	f.Add(strings.Replace(good, ".", "..", 1))
	f.Fuzz(func(t *testing.T, raw string) {
		subject, err := p.verifier.Verify(raw, authn.ScopePrivateFederation)
		if err == nil && raw != good {
			t.Errorf("accepted %q as %s", raw, subject)
		}
		if err != nil && subject != "" {
			t.Errorf("subject %q beside the error %v", subject, err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	p := newParties(b)
	raw := signClaims(b, p.caller, goodClaims(), nil)
	for b.Loop() {
		if _, err := p.verifier.Verify(raw, authn.ScopePrivateFederation); err != nil {
			b.Fatal(err)
		}
	}
}

func signClaims(tb testing.TB, key ed25519.PrivateKey, claims jwt.MapClaims, header map[string]any) string {
	tb.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims)
	for name, value := range header {
		token.Header[name] = value
	}
	raw, err := token.SignedString(key)
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}
