package operator_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/deckhouse/module-sdk/pkg"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/component-helpers/auth/rbac/validation"

	"github.com/deckhouse-mesh/istio/deploy/operator"
	globalhooks "github.com/deckhouse-mesh/istio/global-hooks"
	"github.com/deckhouse-mesh/istio/hooks"
	"github.com/deckhouse-mesh/istio/test/support/rendertest"
)

// rights of the operator: by namespace, "" for the whole cluster.
type rights map[string][]rbacv1.PolicyRule

func operatorsRights(t *testing.T) rights {
	t.Helper()
	return rightsFor(t, "istio")
}

// rightsFor the operator of a module with that name.
func rightsFor(t *testing.T, module string) rights {
	t.Helper()
	found := rights{}
	for _, object := range objects(t, map[string]any{"module": module}) {
		found[object.GetNamespace()] = append(found[object.GetNamespace()], rules(t, object)...)
	}
	return found
}

// objects that the chart installs with the values in place of its own.
func objects(t *testing.T, values map[string]any) []*unstructured.Unstructured {
	t.Helper()
	chart, err := operator.Chart()
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := operator.Render(chart, values)
	if err != nil {
		t.Fatal(err)
	}
	return rendered
}

// rules of a Role or ClusterRole, none of any other object.
func rules(t *testing.T, object *unstructured.Unstructured) []rbacv1.PolicyRule {
	t.Helper()
	if kind := object.GetKind(); kind != "ClusterRole" && kind != "Role" {
		return nil
	}
	var role rbacv1.ClusterRole
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &role); err != nil {
		t.Fatal(err)
	}
	return role.Rules
}

// missing are the rights among wanted that the operator has not in namespace.
func (r rights) missing(namespace string, wanted ...rbacv1.PolicyRule) []string {
	has := r[""]
	if namespace != "" {
		has = slices.Concat(has, r[namespace])
	}
	_, uncovered := validation.Covers(has, wanted)
	lines := make([]string, len(uncovered))
	for index, rule := range uncovered {
		lines[index] = line(rule)
	}
	return lines
}

func line(rule rbacv1.PolicyRule) string {
	if len(rule.NonResourceURLs) > 0 {
		return strings.Join(rule.Verbs, ",") + " " + strings.Join(rule.NonResourceURLs, ",")
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s.%s %s", strings.Join(rule.Verbs, ","),
		strings.Join(rule.Resources, ","), strings.Join(rule.APIGroups, ","), strings.Join(rule.ResourceNames, ",")))
}

// helmsVerbs are what Helm does to an object of a release, and what addon-operator watches it with.
var helmsVerbs = []string{"get", "list", "watch", "create", "patch", "delete"}

func TestHelmMayApplyEverythingThatTheTemplatesRender(t *testing.T) {
	has := operatorsRights(t)
	for _, key := range rendered(t).Keys() {
		object := rendered(t)[key]
		kind := object.GroupVersionKind()
		wanted := rbacv1.PolicyRule{APIGroups: []string{kind.Group}, Resources: []string{plural(kind)}, Verbs: helmsVerbs}
		if kind.Kind == "Namespace" {
			wanted.ResourceNames = []string{object.GetName()}
		}
		for _, right := range has.missing(object.GetNamespace(), wanted) {
			t.Errorf("%s is rendered, and the operator may not %s: add it to clusterrole-release.yaml", key, right)
		}
	}
}

// TestOnlyTheSecondNameMayWriteAdmissionPolicies and of these only its own: the
// operator's own policy, which bounds the operator, is one, too.
func TestOnlyTheSecondNameMayWriteAdmissionPolicies(t *testing.T) {
	first, second := rightsFor(t, "istio"), rightsFor(t, "istio-alliance")
	for _, resource := range []string{"validatingadmissionpolicies", "validatingadmissionpolicybindings"} {
		right := func(verb string, object ...string) rbacv1.PolicyRule {
			return rbacv1.PolicyRule{APIGroups: []string{"admissionregistration.k8s.io"}, Resources: []string{resource}, Verbs: []string{verb}, ResourceNames: object}
		}
		// templates/embedded-istio.yaml
		ofModule := []rbacv1.PolicyRule{right("create"), right("list"), right("watch")}
		for _, verb := range []string{"get", "patch", "delete"} {
			ofModule = append(ofModule, right(verb, "d8-istio-alliance-embedded-istio"))
		}
		if missing := second.missing("", ofModule...); len(missing) > 0 {
			t.Errorf("Helm cannot apply templates/embedded-istio.yaml: the operator may not %s", missing)
		}
		for _, verb := range []string{"update", "patch", "delete", "deletecollection"} {
			if len(second.missing("", right(verb, operator.Name))) == 0 {
				t.Errorf("the operator may %s its own policy, which bounds what it writes", verb)
			}
		}
		for _, verb := range helmsVerbs {
			if len(first.missing("", right(verb, "d8-istio-alliance-embedded-istio"))) == 0 {
				t.Errorf("the operator of istio, which has no policy, may %s one", verb)
			}
		}
	}
}

// plural is the resource of a kind, for those kinds that the module has.
func plural(kind schema.GroupVersionKind) string {
	if kind.Kind == "Gateway" { // not "gatewaies"
		return "gateways"
	}
	resource, _ := meta.UnsafeGuessKindToResource(kind)
	return resource.Resource
}

// TestEveryKindOfTheTemplatesIsAmongTheRendered keeps the tests here from missing what their settings do not bring out.
func TestEveryKindOfTheTemplatesIsAmongTheRendered(t *testing.T) {
	// Kinds that are rendered in Deckhouse only: the last two under the module's second name.
	seen := map[string]bool{"DexAuthenticator": true, "ValidatingAdmissionPolicy": true, "ValidatingAdmissionPolicyBinding": true}
	for _, object := range rendered(t) {
		seen[object.GetKind()] = true
	}
	root, err := rendertest.Root()
	if err != nil {
		t.Fatal(err)
	}
	topLevel := regexp.MustCompile(`(?m)^apiVersion: .*\n(?:{{.*}}\n)*kind: (\w+)\s*$`)
	err = fs.WalkDir(os.DirFS(filepath.Join(root, "templates")), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(filepath.Join(root, "templates", path))
		if err != nil {
			return err
		}
		for _, found := range topLevel.FindAllStringSubmatch(string(content), -1) {
			if !seen[found[1]] {
				t.Errorf("templates/%s has a %s that the settings of these tests do not render: extend them", path, found[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheOperatorHasWhatTheRenderedRolesGrant(t *testing.T) {
	has := operatorsRights(t)
	for key, object := range rendered(t) {
		for _, right := range has.missing(object.GetNamespace(), rules(t, object)...) {
			t.Errorf("%s grants what the operator has not, so the API server rejects it: %s: add it to clusterrole-grants.yaml", key, right)
		}
	}
}

func TestTheOperatorsGrantableRightsAreGranted(t *testing.T) {
	var granted []rbacv1.PolicyRule
	for _, object := range rendered(t) {
		granted = append(granted, rules(t, object)...)
	}
	for _, object := range objects(t, nil) {
		if object.GetName() != "istio-operator-grants" {
			continue
		}
		_, needless := validation.Covers(granted, rules(t, object))
		for _, rule := range needless {
			t.Errorf("%s is granted to nobody: remove it from clusterrole-grants.yaml", line(rule))
		}
	}
}

func TestTheOperatorMayWatchWhatHooksSubscribeTo(t *testing.T) {
	has := operatorsRights(t)
	moduleHooks, _ := hooks.Resident(t.Context())
	for _, hook := range slices.Concat(moduleHooks, globalhooks.Hooks(globalhooks.Options{})) {
		for _, binding := range hook.Config.Kubernetes {
			for _, namespace := range namespaces(binding) {
				for _, right := range has.missing(namespace, watch(binding)) {
					t.Errorf("hook %s subscribes to what the operator may not: %s in namespace %q", hook.Name, right, namespace)
				}
			}
		}
	}
}

// namespaces that a binding watches, "" for all.
func namespaces(binding pkg.KubernetesConfig) []string {
	if binding.NamespaceSelector == nil || binding.NamespaceSelector.NameSelector == nil {
		return []string{""}
	}
	return binding.NamespaceSelector.NameSelector.MatchNames
}

// watch is the right that a binding needs.
func watch(binding pkg.KubernetesConfig) rbacv1.PolicyRule {
	group, _, grouped := strings.Cut(binding.APIVersion, "/")
	if !grouped {
		group = ""
	}
	rule := rbacv1.PolicyRule{
		APIGroups: []string{group}, Verbs: []string{"list", "watch"},
		Resources: []string{strings.ToLower(binding.Kind) + "s"},
	}
	if binding.NameSelector != nil {
		rule.ResourceNames = binding.NameSelector.MatchNames
	}
	return rule
}

// TestTheOperatorMayWriteWhatHooksWrite lists what hooks write themselves: the
// objects in hooks/ and lib/federation that go through no release of Helm.
func TestTheOperatorMayWriteWhatHooksWrite(t *testing.T) {
	has := operatorsRights(t)
	for name, test := range map[string]struct {
		namespace, group, resource, object string
		verbs                              []string
	}{
		"ServiceEntries of peers":              {"d8-istio", "networking.istio.io", "serviceentries", "", []string{"get", "list", "watch", "create", "patch", "delete"}},
		"DestinationRules of peers":            {"d8-istio", "networking.istio.io", "destinationrules", "", []string{"get", "list", "watch", "create", "patch", "delete"}},
		"identities that outlive the module":   {"d8-system", "", "secrets", "", []string{"get", "create", "update", "patch", "delete"}},
		"status of IstioFederations":           {"", "deckhouse.io", "istiofederations/status", "", []string{"patch"}},
		"status of IstioMulticlusters":         {"", "deckhouse.io", "istiomulticlusters/status", "", []string{"patch"}},
		"status of ModuleConfigs":              {"", "deckhouse.io", "moduleconfigs/status", "", []string{"patch"}},
		"Events on cluster-wide resources":     {"default", "", "events", "", []string{"create", "patch"}},
		"Events on Services of all namespaces": {"", "", "events", "", []string{"create"}},
		"a poke when a kind is switched on":    {"d8-istio", "", "configmaps", "federation-revisions", []string{"patch"}},
		"objects that nobody can write":        {"d8-istio", "", "configmaps", "", []string{"delete"}},
		"CRDs":                                 {"", "apiextensions.k8s.io", "customresourcedefinitions", "", []string{"get", "create", "update"}},
		"the cluster's UUID":                   {"kube-system", "", "configmaps", "d8-cluster-uuid", []string{"get", "update"}},
		"orphaned root certificates":           {"", "", "configmaps", "istio-ca-root-cert", []string{"delete"}},
		"orphaned revoked certificates":        {"", "", "configmaps", "istio-ca-crl", []string{"delete"}},
		"orphaned credentials of the registry": {"", "", "secrets", "d8-istio-sidecar-registry", []string{"delete"}},
		"credentials for sidecars' images":     {"", "", "secrets", "d8-istio-sidecar-registry", []string{"list", "watch", "patch", "delete"}},
		"new credentials for them":             {"", "", "secrets", "", []string{"create"}},
		"orphaned webhooks":                    {"", "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "", []string{"list", "delete"}},
		"orphaned GatewayClasses":              {"", "gateway.networking.k8s.io", "gatewayclasses", "", []string{"list", "delete"}},
		"the Lease":                            {"d8-system", "coordination.k8s.io", "leases", "istio-operator", []string{"get", "update"}},
		"a new Lease":                          {"d8-system", "coordination.k8s.io", "leases", "", []string{"create"}},
	} {
		t.Run(name, func(t *testing.T) {
			wanted := rbacv1.PolicyRule{APIGroups: []string{test.group}, Resources: []string{test.resource}, Verbs: test.verbs}
			if test.object != "" {
				wanted.ResourceNames = []string{test.object}
			}
			for _, right := range has.missing(test.namespace, wanted) {
				t.Errorf("the operator may not %s", right)
			}
		})
	}
}

func TestTheOperatorsRightsCannotBeUsedToEscalate(t *testing.T) {
	for namespace, all := range operatorsRights(t) {
		for _, rule := range all {
			for _, verb := range rule.Verbs {
				if slices.Contains([]string{"*", "escalate", "bind", "impersonate"}, verb) {
					t.Errorf("the operator has the verb %s in namespace %q: %s", verb, namespace, line(rule))
				}
			}
			if slices.Contains(rule.APIGroups, "*") {
				t.Errorf("the operator has rights on all groups in namespace %q: %s", namespace, line(rule))
			}
			if slices.Contains(rule.Resources, "*") && !slices.Equal(rule.Verbs, []string{"get", "list", "watch"}) {
				t.Errorf("the operator may write all resources of a group: %s", line(rule))
			}
		}
	}
}

// TestRolesHaveTheNamesThatTheAdmissionPolicyAllows keeps the policy and the templates in step.
func TestRolesHaveTheNamesThatTheAdmissionPolicyAllows(t *testing.T) {
	for key, object := range rendered(t) {
		kind, _, _ := strings.Cut(key, "/")
		if strings.HasPrefix(kind, "ClusterRole") && !strings.HasPrefix(object.GetName(), "d8:istio:") {
			t.Errorf("%s: validatingadmissionpolicy.yaml lets the operator write names with d8:istio: only", key)
		}
		if namespace := object.GetNamespace(); namespace != "" && namespace != "d8-istio" {
			t.Errorf("%s is in namespace %s: validatingadmissionpolicy.yaml lets the operator write into its own only", key, namespace)
		}
	}
}
