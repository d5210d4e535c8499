package remotereadertest

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/remotereader"
)

// ClusterRights are the rules of the proxy's ClusterRole for forwarded requests; OwnClusterRights are the others.
func ClusterRights() []rbacv1.PolicyRule {
	rules := append(
		rulesFor(remotereader.Readable(), "get", "list", "watch"),
		rulesFor(remotereader.Reviews(), "create")...)
	return append(rules, rbacv1.PolicyRule{
		NonResourceURLs: []string{"/version", "/api", "/api/*", "/apis", "/apis/*"},
		Verbs:           []string{"get"},
	})
}

// OwnClusterRights are the rules of the proxy's ClusterRole for its own reads: it
// checks whether a peer's resource exists, and forwards no request for that.
func OwnClusterRights() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{{
		APIGroups: []string{v1alpha1.Group}, Resources: []string{v1alpha1.IstioMulticlusterResource}, Verbs: []string{"list", "watch"},
	}}
}

// rulesFor makes one rule a group, in the order in which groups first appear.
func rulesFor(resources []remotereader.Resource, verbs ...string) []rbacv1.PolicyRule {
	var rules []rbacv1.PolicyRule
	for _, resource := range resources {
		at := slices.IndexFunc(rules, func(rule rbacv1.PolicyRule) bool { return rule.APIGroups[0] == resource.Group })
		if at < 0 {
			at = len(rules)
			rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{resource.Group}, Verbs: verbs})
		}
		rules[at].Resources = append(rules[at].Resources, resource.Name)
	}
	return rules
}

// ControlPlaneRights are the rules of the proxy's Role in the namespace of the
// control plane for requests forwarded there.
func ControlPlaneRights() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{{
		APIGroups: []string{remotereader.ConfigMaps.Group}, Resources: []string{remotereader.ConfigMaps.Name},
		ResourceNames: remotereader.MeshConfigMaps(), Verbs: []string{"get", "list", "watch"},
	}}
}
