//go:build e2e

package e2e

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Outcomes of a request that an AuthorizationPolicy decides about.
const (
	allowed   = http.StatusOK
	denied    = http.StatusForbidden
	forbidden = http.StatusUnauthorized // by an invalid token
)

// ruling is a row: a policy for one path of the server, and what becomes of callers there.
type ruling struct {
	name string
	// from of the policy's only rule and its when, as YAML; deny is a policy of its own besides one that allows all.
	from, when, deny string
	hearings         []hearing
}

// hearing is a request to the path.
type hearing struct {
	of      *side
	caller  string
	headers []string
	status  int
}

// rulings about callers of this cluster and of the peer. The peer's calls come through this cluster's gateway.
func (f *traffic) rulings(tokens map[string]string) []ruling {
	here := func(caller string, status int, headers ...string) hearing {
		return hearing{f.Here, caller, headers, status}
	}
	there := func(caller string, status int, headers ...string) hearing {
		return hearing{f.There, caller, headers, status}
	}
	bearer := func(name string) string { return "Authorization: Bearer " + tokens[name] }
	return []ruling{
		{name: "a principal of the peer is let in, and no other", from: `principals: ["{{.There.Domain}}/ns/{{.There.Shop}}/sa/auditor"]`,
			hearings: []hearing{there("auditor", allowed), there("client", denied), here("auditor", denied)}},
		{name: "all of the peer's domain is let in, and nobody else", from: `principals: ["{{.There.Domain}}/*"]`,
			hearings: []hearing{there("client", allowed), there("distant", allowed), here("client", denied)}},
		{name: "all of this cluster's domain is let in, and no peer", from: `principals: ["{{.Here.Domain}}/*"]`,
			hearings: []hearing{here("client", allowed), here("distant", allowed), there("client", denied), here("stranger", denied)}},
		{name: "a service account of all clusters is let in", from: `principals: ["*/sa/auditor"]`,
			hearings: []hearing{here("auditor", allowed), there("auditor", allowed), there("client", denied)}},
		{name: "a namespace is let in, and with it the peer's of the same name", from: `namespaces: ["{{.Here.Shop}}"]`,
			hearings: []hearing{here("client", allowed), there("client", allowed), here("distant", denied), there("distant", denied)}},
		{name: "a trust domain is let in, and no other", from: `trustDomains: ["{{.There.Domain}}"]`,
			hearings: []hearing{there("client", allowed), there("distant", allowed), here("client", denied)}},
		{name: "a namespace of one trust domain is let in", from: `{trustDomains: ["{{.There.Domain}}"], namespaces: ["{{.There.Shop}}"]}`,
			hearings: []hearing{there("client", allowed), there("distant", denied), here("client", denied)}},
		{name: "whoever has an identity is let in", from: `principals: ["*"]`,
			hearings: []hearing{here("client", allowed), there("client", allowed), here("stranger", denied)}},
		{name: "an address is let in, and no other", from: `ipBlocks: ["{{.Here.IP "client"}}/32"]`,
			hearings: []hearing{here("client", allowed), here("auditor", denied), there("client", denied)}},
		{name: "peers have the address of this cluster's gateway", from: `ipBlocks: ["{{.Here.Gateway}}"]`,
			hearings: []hearing{there("client", allowed), there("distant", allowed), here("client", denied)}},
		{name: "the address that a proxy before names is let in", from: `remoteIpBlocks: ["203.0.113.0/24"]`,
			hearings: []hearing{here("client", allowed, "X-Forwarded-For: 203.0.113.7"), here("client", denied, "X-Forwarded-For: 198.51.100.7"), here("client", denied)}},
		{name: "a header is let in", when: `{key: "request.headers[x-tier]", values: [gold]}`,
			hearings: []hearing{there("client", allowed, "X-Tier: gold"), here("client", allowed, "X-Tier: gold"), there("client", denied, "X-Tier: tin"), there("client", denied)}},
		{name: "a claim of a token is let in", when: `{key: "request.auth.claims[groups]", values: [staff]}`,
			hearings: []hearing{
				there("client", allowed, bearer("staff")), here("client", allowed, bearer("staff")), there("client", denied, bearer("guest")),
				there("client", denied), there("client", forbidden, bearer("forged")), there("client", forbidden, bearer("expired")),
			}},
		{name: "whoever has a token is let in", from: `requestPrincipals: ["https://tokens.example/*"]`,
			hearings: []hearing{there("client", allowed, bearer("guest")), there("client", denied)}},
		{name: "a policy that denies comes before one that allows", deny: `principals: ["{{.There.Domain}}/*"]`,
			hearings: []hearing{here("client", allowed), there("client", denied), there("auditor", denied)}},
		{name: "a principal of the peer can be denied, and no other", deny: `principals: ["{{.There.Domain}}/ns/{{.There.Shop}}/sa/auditor"]`,
			hearings: []hearing{there("client", allowed), here("auditor", allowed), there("auditor", denied)}},
		{name: "a namespace can be denied, and with it the peer's of the same name", deny: `namespaces: ["{{.Here.Yard}}"]`,
			hearings: []hearing{here("client", allowed), there("client", allowed), here("distant", denied), there("distant", denied)}},
		{name: "a trust domain can be denied", deny: `trustDomains: ["{{.There.Domain}}"]`,
			hearings: []hearing{here("client", allowed), here("stranger", allowed), there("distant", denied)}},
		{name: "all but one trust domain can be denied", deny: `notTrustDomains: ["{{.Here.Domain}}"]`,
			hearings: []hearing{here("client", allowed), there("client", denied)}},
	}
}

// policies of the row for its path.
func (r ruling) policies(path string) string {
	rule := func(name, action, from, when string) string {
		clauses := fmt.Sprintf("- to: [{operation: {paths: [%q]}}]\n", path)
		if from != "" {
			clauses += fmt.Sprintf("    from: [{source: {%s}}]\n", strings.Trim(from, "{}"))
		}
		if when != "" {
			clauses += fmt.Sprintf("    when: [%s]\n", when)
		}
		return fmt.Sprintf(`apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: %s}
spec:
  selector: {matchLabels: {app: guarded}}
  action: %s
  rules:
  %s`, name, action, clauses)
	}
	name := strings.ReplaceAll(strings.Trim(path, "/"), "/", "-")
	manifest := rule(name, "ALLOW", r.from, r.when)
	if r.deny != "" {
		manifest += "---\n" + rule(name+"-not", "DENY", r.deny, "")
	}
	return manifest
}

func TestTrafficIsAuthorizedAsPoliciesSay(t *testing.T) {
	f := trafficOf(t)
	issuer := newTokenIssuer(t)
	f.applyYAML(t, f.Here, issuer.manifest())
	rows := f.rulings(issuer.tokens(t))
	for i, row := range rows {
		f.applyYAML(t, f.Here, row.policies(fmt.Sprintf("/row/%d", i)))
	}
	t.Run("rows", func(t *testing.T) {
		for i, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				t.Parallel()
				f.awaitHearings(t, fmt.Sprintf("/row/%d", i), row.hearings)
			})
		}
		t.Run("what no policy that allows names is denied", func(t *testing.T) {
			t.Parallel()
			f.awaitHearings(t, "/elsewhere", []hearing{{f.Here, "client", nil, denied}, {f.There, "client", nil, denied}})
		})
		t.Run("where there is no policy all is allowed", func(t *testing.T) {
			t.Parallel()
			for _, s := range []*side{f.Here, f.There} {
				eventually(t, prompt, s.name+" is allowed", func() string {
					got, err := s.Pod("client").get("http://" + f.Here.Host("api") + "/")
					return because(failing(err, httpStatus(allowed)(got)))
				})
			}
		})
	})
}

// awaitHearings waits until all requests of the row end as it says, at the same time: before all its policies are in force some do so by accident.
func (f *traffic) awaitHearings(t *testing.T, path string, hearings []hearing) {
	t.Helper()
	eventually(t, scheduled, "", func() string {
		for _, one := range hearings {
			got, err := one.of.Pod(one.caller).get("http://"+f.Here.Host("guarded")+path, one.headers...)
			if err != nil || got.status != one.status {
				return fmt.Sprintf("%s of %s with %q: %s (%v), want status %d", one.caller, one.of.name, one.headers, got, err, one.status)
			}
		}
		return ""
	})
}

// tokenIssuer signs tokens of users.
type tokenIssuer struct{ key, other *rsa.PrivateKey }

func newTokenIssuer(t *testing.T) tokenIssuer {
	t.Helper()
	generate := func() *rsa.PrivateKey {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	return tokenIssuer{generate(), generate()}
}

// manifest that makes the guarded server verify the issuer's tokens.
func (i tokenIssuer) manifest() string {
	encoded := base64.RawURLEncoding
	keys, _ := json.Marshal(map[string]any{"keys": []any{map[string]any{
		"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "test",
		"n": encoded.EncodeToString(i.key.N.Bytes()), "e": encoded.EncodeToString(big.NewInt(int64(i.key.E)).Bytes()),
	}}})
	return fmt.Sprintf(`apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens}
spec:
  selector: {matchLabels: {app: guarded}}
  jwtRules:
  - issuer: https://tokens.example
    forwardOriginalToken: true
    jwks: '%s'
`, keys)
}

// tokens by name.
func (i tokenIssuer) tokens(t *testing.T) map[string]string {
	t.Helper()
	signed := map[string]string{}
	for name, token := range map[string]struct {
		key   *rsa.PrivateKey
		group string
		until time.Duration
	}{
		"staff":   {i.key, "staff", time.Hour},
		"guest":   {i.key, "guest", time.Hour},
		"forged":  {i.other, "staff", time.Hour},
		"expired": {i.key, "staff", -time.Hour},
	} {
		unsigned := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
			"iss": "https://tokens.example", "sub": "user", "groups": []string{token.group}, "exp": time.Now().Add(token.until).Unix(),
		})
		unsigned.Header["kid"] = "test"
		var err error
		if signed[name], err = unsigned.SignedString(token.key); err != nil {
			t.Fatal(err)
		}
	}
	return signed
}
