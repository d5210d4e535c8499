//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// What stopped the module once must not do so again: while it stands, an honest
// peer's change arrives by push, and a changed setting is applied.

func TestAPeerWhoseMetadataWouldFillItsStatusStopsNobody(t *testing.T) {
	awaitPeers(t)
	peer := newFakePeer(t, "filling.example")
	suite.a.federate(t, peer.federation("filling"))
	suite.a.awaitReady(t, "filling", scheduled)
	peer.sendLargeETags()
	judged := suite.a.awaitCondition(t, "filling", "HostnameOutsideTrustDomain", "100 rejected")
	suite.a.works(t, suite.b)
	judged()
}

func TestAPeerWhoseRootsWouldFillTheReleaseStopsNobody(t *testing.T) {
	awaitPeers(t)
	peer := newFakePeer(t, "rooted.example")
	suite.a.federate(t, peer.federation("rooted"))
	suite.a.awaitReady(t, "rooted", scheduled)
	peer.sendLargeRoots()
	judged := suite.a.awaitCondition(t, "rooted", "PeerPublicMetadataInvalid", "bytes together")
	suite.a.works(t, suite.b)
	judged()
}

const sidecarRegistry = "d8-istio-sidecar-registry"

func TestATenantsImmutableSecretStopsNobody(t *testing.T) {
	awaitPeers(t)
	suite.a.awaitMesh(t, defaultIstio())
	own, frozen, honest := suite.a.tenant(t), suite.a.tenant(t), suite.a.tenant(t)
	immutable := true
	_, err := suite.a.typed.CoreV1().Secrets(own).Create(context.Background(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: sidecarRegistry}, Type: corev1.SecretTypeOpaque, Immutable: &immutable,
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	suite.a.givePassword(t, "first")
	suite.a.awaitPassword(t, honest, "first")
	suite.a.awaitPassword(t, frozen, "first")
	_, err = suite.a.typed.CoreV1().Secrets(frozen).Patch(context.Background(), sidecarRegistry, types.MergePatchType, []byte(`{"immutable":true}`), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	suite.a.givePassword(t, "second")
	suite.a.awaitPassword(t, honest, "second")
	for _, namespace := range []string{own, frozen} {
		suite.a.awaitEvent(t, namespace, "RegistrySecretNotWritten", sidecarRegistry)
	}
	awaitPeers(t) // Pods of the module have a Secret to pull with now, and are new
	suite.a.works(t, suite.b)
	suite.a.givePassword(t, "third")
	suite.a.awaitPassword(t, honest, "third")
	suite.a.awaitPassword(t, frozen, "first")
}

// tenant's namespace, with a Pod that asks for a sidecar and that no node runs.
func (c *cluster) tenant(t *testing.T) (namespace string) {
	t.Helper()
	namespace = c.namespace(t)
	pod := newPod(namespace, "app", map[string]string{"sidecar.istio.io/inject": "true"}, nil)
	pod.Spec.NodeSelector = map[string]string{"e2e": "nowhere"}
	c.begin(t, pod)
	return namespace
}

// imageRegistry is the host that images of the lab have in their names. Nodes pull them from the lab, whatever the password.
const imageRegistry = "ghcr.io"

func dockerConfig(host, password string) []byte {
	return fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, host, base64.StdEncoding.EncodeToString([]byte("puller:"+password)))
}

// givePassword to the operator, until the test ends.
func (c *cluster) givePassword(t *testing.T, password string) {
	t.Helper()
	secrets := c.typed.CoreV1().Secrets(operator.namespace)
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "istio-operator-registry"}, Type: corev1.SecretTypeDockerConfigJson,
		Data: map[string][]byte{corev1.DockerConfigJsonKey: dockerConfig(imageRegistry, password)},
	}
	_, err := secrets.Update(context.Background(), secret, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		_, err = secrets.Create(context.Background(), secret, metav1.CreateOptions{})
		t.Cleanup(func() {
			_ = secrets.Delete(context.Background(), secret.Name, metav1.DeleteOptions{})
			eventually(t, restarted, "the module's Pods need no password any more", func() string {
				if _, err := c.typed.CoreV1().Secrets(moduleNamespace).Get(context.Background(), "istio-registry", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
					return fmt.Sprint("Secret istio-registry is there: ", err)
				}
				return ""
			})
			awaitPeers(t)
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// awaitPassword waits until sidecars of the namespace can pull with it.
func (c *cluster) awaitPassword(t *testing.T, namespace, password string) {
	t.Helper()
	eventually(t, restarted, "namespace "+namespace+" has the password "+password, func() string {
		secret, err := c.typed.CoreV1().Secrets(namespace).Get(context.Background(), sidecarRegistry, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if got := secret.Data[corev1.DockerConfigJsonKey]; !bytes.Equal(got, dockerConfig(imageRegistry, password)) {
			return fmt.Sprintf("it has %s", got)
		}
		return ""
	})
}

// awaitEvent waits for an Event with the reason, whose message contains the text.
func (c *cluster) awaitEvent(t *testing.T, namespace, reason, text string) {
	t.Helper()
	eventually(t, scheduled, "an Event "+reason+" in "+namespace, func() string {
		events, err := c.typed.CoreV1().Events(namespace).List(context.Background(), metav1.ListOptions{FieldSelector: "reason=" + reason})
		if err != nil {
			return err.Error()
		}
		for _, event := range events.Items {
			if strings.Contains(event.Message, text) {
				return ""
			}
		}
		return fmt.Sprintf("of %d none contains %q", len(events.Items), text)
	})
}

// awaitCondition waits until Ready is False for the reason. What it returns fails the test when that is so no longer; a poll
// that a loaded machine did not answer may have failed just then, and the next one says so again.
func (c *cluster) awaitCondition(t *testing.T, federation, reason, message string) (still func()) {
	t.Helper()
	missing := func() string {
		status, gotReason, gotMessage := c.condition(federation, "Ready")
		if status != "False" || gotReason != reason || !strings.Contains(gotMessage, message) {
			return fmt.Sprintf("Ready=%s %s: %s", status, gotReason, gotMessage)
		}
		return ""
	}
	eventually(t, scheduled, "the condition says what is wrong with "+federation, missing)
	return func() {
		t.Helper()
		if _, now, _ := c.condition(federation, "Ready"); now == "PeerUnreachable" && now != reason {
			eventually(t, scheduled, "the condition says again what is wrong with "+federation, missing)
		} else if missing := missing(); missing != "" {
			t.Errorf("the condition of %s has changed: %s", federation, missing)
		}
	}
}

// works shows that the cluster hears of the honest peer's changes by push, and applies settings.
func (c *cluster) works(t *testing.T, honest *cluster) {
	t.Helper()
	namespace := honest.namespace(t)
	// The schedule of each minute cannot be the reason for all of them.
	for _, name := range []string{"one", "two", "three"} {
		hostname := honest.publish(t, namespace, name)
		c.awaitImported(t, hostname, prompt)
		honest.label(t, namespace, name, false)
		c.awaitForgotten(t, hostname, prompt)
	}
	for _, setting := range []struct {
		mode any
		mesh string
	}{{"RegistryOnly", "REGISTRY_ONLY"}, {nil, "ALLOW_ANY"}} {
		c.configure(t, suite.module, map[string]any{"settings": map[string]any{"outboundTrafficPolicyMode": setting.mode}})
		eventually(t, restarted, fmt.Sprintf("the setting %v is applied", setting.mode), func() string {
			if mesh := c.meshConfiguration(t); !strings.Contains(mesh, setting.mesh) {
				return "the mesh's configuration does not contain " + setting.mesh
			}
			return c.moduleMessage(t)
		})
	}
}

// meshConfiguration of the default version.
func (c *cluster) meshConfiguration(t *testing.T) string {
	t.Helper()
	mesh, err := c.typed.CoreV1().ConfigMaps(moduleNamespace).Get(context.Background(), "istio-"+defaultIstio().Revision(), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return mesh.Data["mesh"]
}
