//go:build e2e

package e2e

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	webhooksv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// defaultInjector is the webhook configuration that injects sidecars where no revision is named.
const defaultInjector = "istio-revision-tag-default"

func TestDeletedObjectsOfTheControlPlaneAreRestored(t *testing.T) {
	suite.a.awaitMesh(t, defaultIstio())
	namespace := suite.a.labelled(t, inMesh)
	suite.a.awaitRevision(t, newPod(namespace, "app", nil, nil), defaultIstio().Revision())
	webhooks := suite.a.typed.AdmissionregistrationV1().MutatingWebhookConfigurations()
	// Twice, as the second time must not be taken for the first.
	for range 2 {
		former, err := webhooks.Get(context.Background(), defaultInjector, metav1.GetOptions{})
		if err == nil {
			err = webhooks.Delete(context.Background(), defaultInjector, metav1.DeleteOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, prompt, "the webhook is there again", func() string {
			now, err := webhooks.Get(context.Background(), defaultInjector, metav1.GetOptions{})
			if err != nil {
				return err.Error()
			}
			if now.UID == former.UID {
				return "it has not gone yet"
			}
			return ""
		})
		suite.a.awaitRevision(t, newPod(namespace, "app", nil, nil), defaultIstio().Revision())
	}
	before := suite.a.cacerts(t)
	if err := suite.a.typed.CoreV1().Secrets(moduleNamespace).Delete(context.Background(), "cacerts", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, prompt, "the CA is there again", func() string {
		secret, err := suite.a.typed.CoreV1().Secrets(moduleNamespace).Get(context.Background(), "cacerts", metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if !maps.EqualFunc(secret.Data, before, func(a, b []byte) bool { return string(a) == string(b) }) {
			return "it is another one"
		}
		return ""
	})
}

func (c *cluster) cacerts(t *testing.T) map[string][]byte {
	t.Helper()
	secret, err := c.typed.CoreV1().Secrets(moduleNamespace).Get(context.Background(), "cacerts", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return secret.Data
}

func TestEditedObjectsOfTheControlPlaneAreRestored(t *testing.T) {
	suite.a.awaitMesh(t, defaultIstio())
	ctx := context.Background()
	webhooks := suite.a.typed.AdmissionregistrationV1().MutatingWebhookConfigurations()
	configMaps := suite.a.typed.CoreV1().ConfigMaps(moduleNamespace)
	meshName := "istio-" + defaultIstio().Revision()

	configuration, err := webhooks.Get(ctx, defaultInjector, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ignore := webhooksv1.Ignore
	configuration.Webhooks[0].FailurePolicy = &ignore
	configuration.Webhooks[0].ClientConfig.CABundle = nil
	if _, err := webhooks.Update(ctx, configuration, metav1.UpdateOptions{FieldManager: "somebody"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, prompt, "the webhook is what it was", func() string {
		now, err := webhooks.Get(ctx, defaultInjector, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if policy := *now.Webhooks[0].FailurePolicy; policy != webhooksv1.Fail {
			return "its failurePolicy is " + string(policy)
		}
		if len(now.Webhooks[0].ClientConfig.CABundle) == 0 {
			return "it has no caBundle"
		}
		return ""
	})

	mesh, err := configMaps.Get(ctx, meshName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	before := mesh.Data["mesh"]
	mesh.Data["mesh"] = strings.ReplaceAll(before, "ALLOW_ANY", "REGISTRY_ONLY")
	if mesh.Data["mesh"] == before {
		t.Fatalf("the mesh does not say ALLOW_ANY:\n%s", before)
	}
	if _, err := configMaps.Update(ctx, mesh, metav1.UpdateOptions{FieldManager: "somebody"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, prompt, "the mesh's configuration is what it was", func() string {
		now, err := configMaps.Get(ctx, meshName, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if now.Data["mesh"] != before {
			return now.Data["mesh"]
		}
		return ""
	})
}

// TestAnEditThatHelmCannotUndoIsTriedOnce: the module does not set timeoutSeconds,
// so it stays, and Helm must not run for it again and again, nor for what the
// tests before this one deleted and edited.
func TestAnEditThatHelmCannotUndoIsTriedOnce(t *testing.T) {
	suite.a.awaitMesh(t, defaultIstio())
	ctx := context.Background()
	before := suite.a.repair(t)
	webhooks := suite.a.typed.AdmissionregistrationV1().MutatingWebhookConfigurations()
	patch := []byte(`[{"op": "replace", "path": "/webhooks/0/timeoutSeconds", "value": 7}]`)
	if _, err := webhooks.Patch(ctx, injectorOf(defaultIstio()), types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: "somebody"}); err != nil {
		t.Fatal(err)
	}
	// Deleting the object is what the documentation advises.
	t.Cleanup(func() {
		if err := webhooks.Delete(ctx, injectorOf(defaultIstio()), metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
		suite.a.awaitMesh(t, defaultIstio())
	})
	eventually(t, prompt, "Helm was asked to undo it", func() string {
		if suite.a.repair(t) == before {
			return "the last time is still " + before
		}
		return ""
	})
	awaitNoRepairs(t, suite.a)
}

// repair is what the module shows of the last time it restored something.
func (c *cluster) repair(t *testing.T) string {
	t.Helper()
	namespace, err := c.typed.CoreV1().Namespaces().Get(context.Background(), moduleNamespace, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return namespace.Annotations["istio.deckhouse.io/repair"]
}

// awaitNoRepairs waits until the module has not restored anything in the clusters for a while, as it must not go on for ever.
func awaitNoRepairs(t *testing.T, clusters ...*cluster) {
	t.Helper()
	repairs := func() string {
		var all []string
		for _, c := range clusters {
			all = append(all, c.name+" "+c.repair(t))
		}
		return strings.Join(all, "; ")
	}
	last, since := repairs(), time.Now()
	eventually(t, 2*quiet+prompt, "nothing more is restored", func() string {
		if now := repairs(); now != last {
			last, since = now, time.Now()
		}
		if time.Since(since) < quiet {
			return "the last time was " + last
		}
		return ""
	})
}
