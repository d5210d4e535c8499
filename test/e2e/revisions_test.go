//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

// revisions is what the exporter tells the discovery hook, by the name of the resource; nil when there is no ConfigMap.
func (c *cluster) revisions(t *testing.T) map[string]string {
	t.Helper()
	configMap, err := c.typed.CoreV1().ConfigMaps(moduleNamespace).Get(context.Background(), v1alpha1.FederationRevisions, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return configMap.Data
}

func (c *cluster) federation(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	resource, err := c.dynamic.Resource(federations).Get(context.Background(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return resource
}

// TestNewsDoNotTouchTheFederationItself: what wakes the discovery hook is a
// ConfigMap's key, which Helm leaves alone.
func TestNewsDoNotTouchTheFederationItself(t *testing.T) {
	awaitJoined(t)
	namespace := suite.b.namespace(t)
	hostname := suite.b.publish(t, namespace, "web")
	suite.a.awaitImported(t, hostname, prompt)
	before := suite.a.revisions(t)[suite.b.name]
	if before == "" {
		t.Fatalf("nothing is told of %s: %v", suite.b.name, suite.a.revisions(t))
	}
	for _, manager := range suite.a.federation(t, suite.b.name).GetManagedFields() {
		if manager.Manager == exporterName {
			t.Errorf("%s has written to the IstioFederation", exporterName)
		}
	}

	t.Cleanup(func() { suite.a.configure(t, "istio", map[string]any{"settings": map[string]any{"tlsMode": nil}}) })
	suite.a.configure(t, "istio", map[string]any{"settings": map[string]any{"tlsMode": "Mutual"}})
	eventually(t, restarted, "Helm has applied another setting", func() string {
		policy, err := suite.a.dynamic.Resource(peerAuthentications).Namespace(moduleNamespace).Get(context.Background(), "default", metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if mode, _, _ := unstructured.NestedString(policy.Object, "spec", "mtls", "mode"); mode != "STRICT" {
			return "the mode is " + mode
		}
		return ""
	})
	if after := suite.a.revisions(t)[suite.b.name]; after != before {
		t.Errorf("%q was written, and after a release %q is", before, after)
	}
}

func TestWhereNewsAreToldComesBackWhenItIsDeleted(t *testing.T) {
	awaitJoined(t)
	if err := suite.a.typed.CoreV1().ConfigMaps(moduleNamespace).Delete(context.Background(), v1alpha1.FederationRevisions, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, prompt, "it is there again, and says what it said", func() string {
		if told := suite.a.revisions(t); told[suite.b.name] == "" {
			return fmt.Sprintf("it says %v", told)
		}
		return ""
	})
	suite.a.awaitNoRepairs(t)
	namespace := suite.b.namespace(t)
	suite.a.awaitImported(t, suite.b.publish(t, namespace, "web"), prompt)
}

// TestWhereNewsAreToldIsMadeAnewWhenNobodyCanWriteIt: Helm would leave all of this as it is.
func TestWhereNewsAreToldIsMadeAnewWhenNobodyCanWriteIt(t *testing.T) {
	awaitJoined(t)
	namespace := suite.b.namespace(t)
	configMaps := suite.a.typed.CoreV1().ConfigMaps(moduleNamespace)
	for _, test := range []struct{ name, service, patch string }{
		{"it is immutable", "frozen", `{"immutable": true}`},
		{"the key is of another kind of data", "binary", `{"data": {"` + suite.b.name + `": null}, "binaryData": {"` + suite.b.name + `": "aGVsbG8="}}`},
		{"it has lost the module's labels and is immutable", "stripped", `{"metadata": {"labels": {"module": null, "heritage": null}}, "immutable": true}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			// Retried, as the exporter may write at the same time.
			eventually(t, prompt, "it is corrupt", func() string {
				if _, err := configMaps.Patch(context.Background(), v1alpha1.FederationRevisions, types.MergePatchType, []byte(test.patch), metav1.PatchOptions{}); err != nil {
					return err.Error()
				}
				return ""
			})
			eventually(t, restarted, "it is another one, with the same content", func() string {
				now, err := configMaps.Get(context.Background(), v1alpha1.FederationRevisions, metav1.GetOptions{})
				switch {
				case err != nil:
					return err.Error()
				case now.Immutable != nil, len(now.BinaryData) > 0, now.Labels["module"] == "", now.Data[suite.b.name] == "":
					return fmt.Sprintf("it is %v", now)
				}
				return ""
			})
			suite.a.awaitImported(t, suite.b.publish(t, namespace, test.service), prompt)
		})
	}
	suite.a.awaitNoRepairs(t)
}

func TestWhatIsNoRevisionIsWrittenOver(t *testing.T) {
	awaitJoined(t)
	before := suite.a.revisions(t)[suite.b.name]
	for _, garbage := range []string{"hello", strings.Repeat("x", 1<<17)} {
		patch := fmt.Sprintf(`{"data": {%q: %q}}`, suite.b.name, garbage)
		if _, err := suite.a.typed.CoreV1().ConfigMaps(moduleNamespace).Patch(context.Background(), v1alpha1.FederationRevisions,
			types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, prompt, "a revision is written", func() string {
			if now := suite.a.revisions(t)[suite.b.name]; now == garbage || now == "" || len(now) > len(before)+20 {
				return fmt.Sprintf("%d bytes are written", len(now))
			}
			return ""
		})
	}
}

func TestWhatWasToldOfAResourceGoesWithIt(t *testing.T) {
	awaitJoined(t)
	gone := suite.a.federation(t, suite.b.name)
	gone.SetName("gone")
	gone.SetUID("")
	gone.SetResourceVersion("")
	gone.Object["spec"].(map[string]any)["trustDomain"] = "gone.local"
	delete(gone.Object, "status")
	resources := suite.a.dynamic.Resource(federations)
	if _, err := resources.Create(context.Background(), gone, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	deleted := false
	remove := func() {
		if !deleted {
			deleted = true
			if err := resources.Delete(context.Background(), "gone", metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(remove)
	eventually(t, prompt, "something is told of it", func() string {
		if told := suite.a.revisions(t); told["gone"] == "" {
			return fmt.Sprintf("told is %v", told)
		}
		return ""
	})
	remove()
	// After a minute: another replica of the exporter may know the resource already that this one has not seen.
	eventually(t, time.Minute+prompt, "nothing is told of it any more", func() string {
		told := suite.a.revisions(t)
		if _, still := told["gone"]; still || told[suite.b.name] == "" {
			return fmt.Sprintf("told is %v", told)
		}
		return ""
	})
}
