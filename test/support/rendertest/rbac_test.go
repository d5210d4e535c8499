package rendertest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
)

// TestMetadataExporterRights lists every right of the exporter's
// ServiceAccount: one more or one less is a decision, not an accident.
func TestMetadataExporterRights(t *testing.T) {
	m := load(t)
	const (
		federations   = "cluster: deckhouse.io/istiofederations: list watch"
		multiclusters = "cluster: deckhouse.io/istiomulticlusters: list watch"
	)
	common := []string{
		"cluster: /services: list watch",
		"cluster: /pods: list watch",
		"cluster: discovery.k8s.io/endpointslices: list watch",
		"d8-istio: /configmaps metadata-exporter: get list watch",
		"d8-istio: /secrets d8-remote-clusters-public-metadata: get list watch",
	}
	tests := []struct {
		name, settings string
		wanted         []string
	}{
		{"federation", federation, with(common, federations)},
		{"multicluster", multicluster, with(common, multiclusters)},
		{"both", federation + "\n" + multicluster, with(common, federations, multiclusters)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			objects := m.render(t, test.settings, nil)
			hasRights(t, objects, "metadata-exporter", test.wanted)
			for _, rule := range rulesOf(t, objects, "metadata-exporter") {
				for _, verb := range rule.Verbs {
					if !slices.Contains([]string{"get", "list", "watch"}, verb) {
						t.Errorf("the exporter, which everybody reaches, may %s %v", verb, rule.Resources)
					}
				}
			}
		})
	}
}

// TestMetadataWatcherRights lists every right of the watcher's ServiceAccount.
func TestMetadataWatcherRights(t *testing.T) {
	m := load(t)
	const (
		federations   = "cluster: deckhouse.io/istiofederations: list watch"
		multiclusters = "cluster: deckhouse.io/istiomulticlusters: list watch"
		revisions     = "d8-istio: /configmaps %s: get list watch patch"
	)
	for name, test := range map[string]struct {
		settings string
		wanted   []string
	}{
		"federation":   {federation, []string{federations, fmt.Sprintf(revisions, "federation-revisions")}},
		"multicluster": {multicluster, []string{multiclusters, fmt.Sprintf(revisions, "multicluster-revisions")}},
		"both": {federation + "\n" + multicluster,
			[]string{federations, multiclusters, fmt.Sprintf(revisions, "federation-revisions multicluster-revisions")}},
	} {
		t.Run(name, func(t *testing.T) { hasRights(t, m.render(t, test.settings, nil), "metadata-watcher", test.wanted) })
	}
}

// hasRights checks that these are all the rights of a component's roles.
func hasRights(t *testing.T, objects Objects, name string, wanted []string) {
	t.Helper()
	got := append(
		rights("cluster", mustDecode[*rbacv1.ClusterRole](t, objects, "ClusterRole/d8:istio:"+name).Rules),
		rights("d8-istio", mustDecode[*rbacv1.Role](t, objects, "Role/"+name).Rules)...)
	slices.Sort(got)
	if wanted := slices.Sorted(slices.Values(wanted)); !slices.Equal(got, wanted) {
		t.Errorf("rights are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(wanted, "\n"))
	}
}

// rulesOf are those of every role that a binding gives to the component's ServiceAccount.
func rulesOf(t *testing.T, objects Objects, account string) []rbacv1.PolicyRule {
	t.Helper()
	var rules []rbacv1.PolicyRule
	for _, key := range objects.Keys() {
		kind, _, _ := strings.Cut(key, "/")
		if kind != "ClusterRoleBinding" && kind != "RoleBinding" {
			continue
		}
		binding := convert[rbacv1.RoleBinding](t, objects[key]) // both have the same fields
		if !slices.ContainsFunc(binding.Subjects, func(s rbacv1.Subject) bool { return s.Name == account || s.Kind == "Group" }) {
			continue
		}
		rules = append(rules, convert[rbacv1.ClusterRole](t, objects[binding.RoleRef.Kind+"/"+binding.RoleRef.Name]).Rules...)
	}
	if len(rules) == 0 {
		t.Errorf("no binding gives ServiceAccount %s a role", account)
	}
	return rules
}

func TestAllianceHealthcheckRights(t *testing.T) {
	objects := load(t).render(t, federation+"\n"+multicluster, nil)
	got := rights("d8-istio", mustDecode[*rbacv1.Role](t, objects, "Role/alliance-healthcheck").Rules)
	want := []string{
		"d8-istio: /configmaps alliance-healthcheck: get list watch",
		"d8-istio: /configmaps alliance-healthcheck-reports: patch",
	}
	if !slices.Equal(got, want) {
		t.Errorf("rights are %q, want %q", got, want)
	}
	for _, key := range objects.Keys() {
		if strings.HasPrefix(key, "ClusterRole") && strings.Contains(key, "healthcheck") {
			t.Errorf("%s is rendered", key)
		}
	}
}

func rights(where string, rules []rbacv1.PolicyRule) []string {
	var lines []string
	for _, rule := range rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				what := strings.TrimSpace(group + "/" + resource + " " + strings.Join(rule.ResourceNames, " "))
				lines = append(lines, fmt.Sprintf("%s: %s: %s", where, what, strings.Join(rule.Verbs, " ")))
			}
		}
	}
	return lines
}

func TestEveryBindingLeadsToARoleAndAServiceAccount(t *testing.T) {
	objects := load(t).render(t, federation, nil)
	check := func(key string, ref rbacv1.RoleRef, subjects []rbacv1.Subject) {
		if _, ok := objects[ref.Kind+"/"+ref.Name]; !ok {
			t.Errorf("%s refers to %s %s, which is not rendered", key, ref.Kind, ref.Name)
		}
		for _, subject := range subjects {
			if _, ok := objects[subject.Kind+"/"+subject.Name]; !ok || subject.Namespace != "d8-istio" {
				t.Errorf("%s is for %s %s/%s, which is not rendered", key, subject.Kind, subject.Namespace, subject.Name)
			}
		}
	}
	for _, key := range objects.Keys() {
		switch kind, _, _ := strings.Cut(key, "/"); kind {
		case "ClusterRoleBinding":
			binding := mustDecode[*rbacv1.ClusterRoleBinding](t, objects, key)
			check(key, binding.RoleRef, binding.Subjects)
		case "RoleBinding":
			binding := mustDecode[*rbacv1.RoleBinding](t, objects, key)
			check(key, binding.RoleRef, binding.Subjects)
		}
	}
	// The gateway asks the Kubernetes API for nothing and has no credentials for it.
	gateway := mustDecode[*appsv1.DaemonSet](t, objects, "DaemonSet/ingressgateway").Spec.Template.Spec
	if gateway.AutomountServiceAccountToken == nil || *gateway.AutomountServiceAccountToken {
		t.Error("the gateway's Pods have a token for the Kubernetes API, which they do not need")
	}
}
