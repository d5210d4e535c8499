//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestAServiceEntryThatTheAPIServerRejectsStopsNoOther: a policy of the cluster's own rejects one peer's service.
// The others arrive by push, the log says what the API server said, and without the policy it is written.
func TestAServiceEntryThatTheAPIServerRejectsStopsNoOther(t *testing.T) {
	awaitPeers(t)
	namespace := suite.b.namespace(t)
	unwanted := suite.b.hostname(t, namespace, "unwanted")
	admit := suite.a.rejectServiceEntriesFor(t, unwanted)
	suite.b.publish(t, namespace, "unwanted")
	for _, name := range []string{"one", "two", "three"} {
		suite.a.awaitImported(t, suite.b.publish(t, namespace, name), prompt)
	}
	eventually(t, scheduled, "the operator's log says why the ServiceEntry is not written", func() string {
		for line := range strings.Lines(suite.a.logs(t, operator)) {
			if strings.Contains(line, "could not write an object for a peer's service") && strings.Contains(line, rejection) {
				return ""
			}
		}
		return "no line does"
	})
	if entry := suite.a.imported(t, unwanted); entry != nil {
		t.Errorf("ServiceEntry %s was written, and the policy rejects it", entry.GetName())
	}
	admit()
	suite.a.awaitImported(t, unwanted, scheduled)
}

// rejection is what the policy answers.
const rejection = "no such host in this test"

// rejectServiceEntriesFor the hostname, until admit is called or the test ends.
func (c *cluster) rejectServiceEntriesFor(t *testing.T, hostname string) (admit func()) {
	t.Helper()
	const name = "e2e-rejected-entry"
	policies, bindings := c.typed.AdmissionregistrationV1().ValidatingAdmissionPolicies(), c.typed.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings()
	policy := &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	policy.Spec.MatchConstraints = &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{
		RuleWithOperations: admissionregistrationv1.RuleWithOperations{
			Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
			Rule: admissionregistrationv1.Rule{
				APIGroups: []string{serviceEntries.Group}, APIVersions: []string{"*"}, Resources: []string{serviceEntries.Resource},
			},
		},
	}}}
	policy.Spec.Validations = []admissionregistrationv1.Validation{{
		Expression: fmt.Sprintf("!object.spec.hosts.exists(host, host == %q)", hostname), Message: rejection,
	}}
	binding := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: name}}
	binding.Spec.PolicyName, binding.Spec.ValidationActions = name, []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny}
	admit = func() {
		_ = bindings.Delete(context.Background(), name, metav1.DeleteOptions{})
		_ = policies.Delete(context.Background(), name, metav1.DeleteOptions{})
	}
	t.Cleanup(admit)
	if _, err := policies.Create(context.Background(), policy, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := bindings.Create(context.Background(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.awaitRejection(t, hostname)
	return admit
}

// awaitRejection waits until the API server follows the policy.
func (c *cluster) awaitRejection(t *testing.T, hostname string) {
	t.Helper()
	entry := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": serviceEntries.GroupVersion().String(), "kind": "ServiceEntry", "metadata": map[string]any{"name": "e2e-rejected"},
		"spec": map[string]any{
			"hosts": []any{hostname}, "location": "MESH_INTERNAL", "resolution": "STATIC",
			"ports": []any{map[string]any{"number": int64(80), "name": "http", "protocol": "HTTP"}},
		},
	}}
	eventually(t, prompt, "the API server rejects ServiceEntries for "+hostname, func() string {
		_, err := c.dynamic.Resource(serviceEntries).Namespace(metav1.NamespaceDefault).Create(context.Background(), entry,
			metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil || !strings.Contains(err.Error(), rejection) {
			return fmt.Sprint("it answered ", err)
		}
		return ""
	})
}
