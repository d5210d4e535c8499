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

// documentVersions are what the watcher has written for the discovery hook, by the name of the resource; nil when there is no ConfigMap.
func (c *cluster) documentVersions(t *testing.T) map[string]string {
	t.Helper()
	configMap, err := c.typed.CoreV1().ConfigMaps(moduleNamespace).Get(context.Background(), v1alpha1.FederationVersions, metav1.GetOptions{})
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

// TestAChangedDocumentWritesAConfigMapAndNotTheFederation: what wakes the discovery
// hook is a ConfigMap's key, which Helm leaves alone.
func TestAChangedDocumentWritesAConfigMapAndNotTheFederation(t *testing.T) {
	awaitPeers(t)
	namespace := suite.b.namespace(t)
	hostname := suite.b.publish(t, namespace, "web")
	suite.a.awaitImported(t, hostname, prompt)
	document, before := suite.a.documentETag(t), suite.a.documentVersions(t)[suite.b.name]
	if before == "" {
		t.Fatalf("nothing is written for %s: %v", suite.b.name, suite.a.documentVersions(t))
	}
	for _, manager := range suite.a.federation(t, suite.b.name).GetManagedFields() {
		if manager.Manager == exporterName {
			t.Errorf("%s has written to the IstioFederation", exporterName)
		}
	}

	t.Cleanup(func() { suite.a.configure(t, suite.module, map[string]any{"settings": map[string]any{"tlsMode": nil}}) })
	suite.a.configure(t, suite.module, map[string]any{"settings": map[string]any{"tlsMode": "Mutual"}})
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
	// The document may have changed meanwhile: Services of tests that have ended are still being deleted.
	eventually(t, prompt, "the version is that of the document", func() string {
		after := suite.a.documentVersions(t)[suite.b.name]
		same := documentsOf(after) == documentsOf(before)
		return unless(after != "" && (same || suite.a.documentETag(t) != document), "%q was written, and after a release %q is", before, after)
	})
}

// documentsOf the version that metadata-watcher writes are its first two parts; a third asks for another poll of the same.
func documentsOf(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}

// documentETag is that of the last document which this cluster has learned from cluster-b.
func (c *cluster) documentETag(t *testing.T) string {
	t.Helper()
	etag, _, err := unstructured.NestedString(c.federation(t, suite.b.name).Object, "status", "metadataCache", "privateETag")
	if err != nil {
		t.Fatal(err)
	}
	return etag
}

func TestTheConfigMapWithDocumentVersionsIsRestored(t *testing.T) {
	awaitPeers(t)
	c, peer := suite.b, suite.a
	if err := c.typed.CoreV1().ConfigMaps(moduleNamespace).Delete(context.Background(), v1alpha1.FederationVersions, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, prompt, "it is there again, with the peer's version", func() string {
		if written := c.documentVersions(t); written[peer.name] == "" {
			return fmt.Sprintf("it has %v", written)
		}
		return ""
	})
	namespace := peer.namespace(t)
	c.awaitImported(t, peer.publish(t, namespace, "web"), prompt)
}

// TestACorruptConfigMapWithDocumentVersionsIsReplaced: Helm would leave all of
// this as it is. An object that goes too often is restored at intervals only, so
// the cases are shared out.
func TestACorruptConfigMapWithDocumentVersionsIsReplaced(t *testing.T) {
	awaitPeers(t)
	for _, test := range []struct {
		name, service string
		c, peer       *cluster
		patch         string
	}{
		{"that is immutable", "frozen", suite.a, suite.b, `{"immutable": true}`},
		{"whose key is of another kind of data", "binary", suite.a, suite.b, `{"data": {"%[1]s": null}, "binaryData": {"%[1]s": "aGVsbG8="}}`},
		{"that has lost the module's labels and is immutable", "stripped", suite.b, suite.a, `{"metadata": {"labels": {"module": null, "heritage": null}}, "immutable": true}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, patch := test.c, strings.ReplaceAll(test.patch, "%[1]s", test.peer.name)
			configMaps := c.typed.CoreV1().ConfigMaps(moduleNamespace)
			// Retried, as the watcher may write at the same time.
			eventually(t, prompt, "it is corrupt", func() string {
				_, err := configMaps.Patch(context.Background(), v1alpha1.FederationVersions, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
				return because(err)
			})
			eventually(t, restarted, "it is another one, with the peer's version", func() string {
				now, err := configMaps.Get(context.Background(), v1alpha1.FederationVersions, metav1.GetOptions{})
				switch {
				case err != nil:
					return err.Error()
				case now.Immutable != nil, len(now.BinaryData) > 0, now.Labels["module"] == "", now.Data[test.peer.name] == "":
					return fmt.Sprintf("it is %v", now)
				}
				return ""
			})
			c.awaitImported(t, test.peer.publish(t, test.peer.namespace(t), test.service), prompt)
		})
	}
	awaitNoRepairs(t, suite.a, suite.b)
}

func TestAnInvalidDocumentVersionIsOverwritten(t *testing.T) {
	awaitPeers(t)
	before := suite.a.documentVersions(t)[suite.b.name]
	for _, invalid := range []string{"hello", strings.Repeat("x", 1<<17)} {
		patch := fmt.Sprintf(`{"data": {%q: %q}}`, suite.b.name, invalid)
		if _, err := suite.a.typed.CoreV1().ConfigMaps(moduleNamespace).Patch(context.Background(), v1alpha1.FederationVersions,
			types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, prompt, "a version is written", func() string {
			if now := suite.a.documentVersions(t)[suite.b.name]; now == invalid || now == "" || len(now) > len(before)+20 {
				return fmt.Sprintf("%d bytes are written", len(now))
			}
			return ""
		})
	}
}

func TestTheDocumentVersionOfADeletedFederationIsPruned(t *testing.T) {
	t.Parallel() // it waits, and has a peer of its own
	c, peer := suite.b, newFakePeer(t, "pruned.example")
	c.federate(t, peer.federation("pruned"))
	eventually(t, prompt, "a version of its documents is written", func() string {
		if written := c.documentVersions(t); written["pruned"] == "" {
			return fmt.Sprintf("written are %v", written)
		}
		return ""
	})
	c.defederate(t, "pruned")
	// After a minute: another replica of the watcher may know a new resource already that this one has not seen.
	eventually(t, time.Minute+prompt, "none of their versions is left", func() string {
		if written := c.documentVersions(t); written["pruned"] != "" || written[suite.a.name] == "" {
			return fmt.Sprintf("written are %v", written)
		}
		return ""
	})
}
