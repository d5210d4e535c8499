package istio_test

import (
	"encoding/json"
	"testing"

	rbac "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	security "istio.io/api/security/v1beta1"
	"istio.io/istio/pilot/pkg/security/authz/model"
	"k8s.io/apimachinery/pkg/types"
)

// TestAPolicyWithTrustDomainsAdmitsEverybody: Istio 1.29 does not know trustDomains, and reads a source that has nothing
// else as anyone. The CRDs, which are those of the newest version, let such a policy in. docs/TRUST_ANCHORS.md warns of it
// for as long as the module has 1.29.
func TestAPolicyWithTrustDomainsAdmitsEverybody(t *testing.T) {
	policy := &security.AuthorizationPolicy{}
	if err := json.Unmarshal([]byte(`{"rules": [{"from": [{"source": {"trustDomains": ["cluster-b.local"]}}]}]}`), policy); err != nil {
		t.Fatal(err)
	}
	rule, err := model.New(types.NamespacedName{Namespace: "shop", Name: "peers"}, policy.Rules[0])
	if err != nil {
		t.Fatal(err)
	}
	translated, err := rule.Generate(false, true, rbac.RBAC_ALLOW)
	if err != nil {
		t.Fatal(err)
	}
	if !translated.Principals[0].GetAndIds().GetIds()[0].GetAny() {
		t.Errorf("the warning in docs/TRUST_ANCHORS.md is out of date: proxies get %v", translated.Principals)
	}
}
