package istio_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	rbac "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	security "istio.io/api/security/v1beta1"
	"istio.io/istio/pilot/pkg/security/authz/model"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/schema/gvk"
	"istio.io/istio/pkg/config/validation"
	"k8s.io/apimachinery/pkg/types"
)

// TestAPolicyWithTrustDomainsAdmitsThoseClustersAlone: what docs/TRUST_ANCHORS.md tells people to write, as istiod
// translates it for proxies.
func TestAPolicyWithTrustDomainsAdmitsThoseClustersAlone(t *testing.T) {
	const (
		own      = "spiffe://cluster-a.local/ns/shop/sa/web"
		peer     = "spiffe://cluster-b.local/ns/shop/sa/web"
		other    = "spiffe://cluster-c.local/ns/shop/sa/web"
		longer   = "spiffe://cluster-b.local.example/ns/shop/sa/web"
		somebody = "spiffe://cluster-b.local/ns/warehouse/sa/web"
	)
	for name, test := range map[string]struct {
		source string
		admits []string
	}{
		"one peer":                          {`{"trustDomains": ["cluster-b.local"]}`, []string{peer, somebody}},
		"this cluster and a peer":           {`{"trustDomains": ["cluster-a.local", "cluster-b.local"]}`, []string{own, peer, somebody}},
		"everybody except a peer":           {`{"notTrustDomains": ["cluster-b.local"]}`, []string{own, other, longer}},
		"a peer, and of it one namespace":   {`{"trustDomains": ["cluster-b.local"], "namespaces": ["shop"]}`, []string{peer}},
		"a namespace of this name anywhere": {`{"namespaces": ["shop"]}`, []string{own, peer, other, longer}},
		"a peer, and of it no other's Pods": {`{"trustDomains": ["cluster-b.local"], "notNamespaces": ["warehouse"]}`, []string{peer}},
		"peers by the end of their domain":  {`{"trustDomains": ["*.local"]}`, []string{own, peer, other, somebody}},
		"anyone with an identity":           {`{"trustDomains": ["*"]}`, []string{own, peer, other, longer, somebody}},
	} {
		t.Run(name, func(t *testing.T) {
			principals := translate(t, `{"rules": [{"from": [{"source": `+test.source+`}]}]}`)
			var admitted []string
			for _, identity := range []string{own, peer, other, longer, somebody} {
				if slices.ContainsFunc(principals, func(p *rbac.Principal) bool { return matches(t, p, identity) }) {
					admitted = append(admitted, identity)
				}
			}
			if !slices.Equal(admitted, test.admits) {
				t.Errorf("it admits %v, want %v", admitted, test.admits)
			}
		})
	}
}

// translate makes istiod translate the policy and returns the callers that proxies admit by its only rule.
func translate(t *testing.T, spec string) []*rbac.Principal {
	t.Helper()
	policy := &security.AuthorizationPolicy{}
	if err := json.Unmarshal([]byte(spec), policy); err != nil {
		t.Fatal(err)
	}
	name := types.NamespacedName{Namespace: "shop", Name: "peers"}
	if warnings, err := validation.ValidateAuthorizationPolicy(config.Config{
		Meta: config.Meta{GroupVersionKind: gvk.AuthorizationPolicy, Namespace: name.Namespace, Name: name.Name}, Spec: policy,
	}); warnings != nil || err != nil {
		t.Fatalf("istiod's validation: warnings %v, error %v", warnings, err)
	}
	rule, err := model.New(name, policy.Rules[0])
	if err != nil {
		t.Fatal(err)
	}
	translated, err := rule.Generate(false, true, rbac.RBAC_ALLOW)
	if err != nil {
		t.Fatal(err)
	}
	return translated.Principals
}

// matches evaluates a principal as Envoy does.
func matches(t *testing.T, principal *rbac.Principal, identity string) bool {
	t.Helper()
	here := func(p *rbac.Principal) bool { return matches(t, p, identity) }
	switch is := principal.Identifier.(type) {
	case *rbac.Principal_Any:
		return true
	case *rbac.Principal_NotId:
		return !here(is.NotId)
	case *rbac.Principal_OrIds:
		return slices.ContainsFunc(is.OrIds.Ids, here)
	case *rbac.Principal_AndIds:
		return !slices.ContainsFunc(is.AndIds.Ids, func(p *rbac.Principal) bool { return !here(p) })
	case *rbac.Principal_Authenticated_:
		return matchesString(t, is.Authenticated.PrincipalName, identity)
	default:
		t.Fatalf("a principal is a %T", is)
		return false
	}
}

func matchesString(t *testing.T, wanted *matcher.StringMatcher, text string) bool {
	t.Helper()
	switch is := wanted.MatchPattern.(type) {
	case *matcher.StringMatcher_Exact:
		return text == is.Exact
	case *matcher.StringMatcher_Prefix:
		return strings.HasPrefix(text, is.Prefix)
	case *matcher.StringMatcher_SafeRegex:
		return regexp.MustCompile(`^(?:` + is.SafeRegex.Regex + `)$`).MatchString(text)
	default:
		t.Fatalf("a string is matched by a %T", is)
		return false
	}
}
