//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
	"github.com/deckhouse-mesh/istio/test/mesh"
)

// TestTheControlPlaneIsUpgradedByCanary does what docs/UPGRADE.md tells a
// person to do, from the oldest version to the default one; the version between is TestSoakOfIstioVersions'.
func TestTheControlPlaneIsUpgradedByCanary(t *testing.T) {
	all := istioversion.All() // the newest comes first
	upgradeByCanary(t, all[len(all)-1], defaultIstio())
}

// TestSoakOfIstioVersions does the same from every other version.
func TestSoakOfIstioVersions(t *testing.T) {
	soakOnly(t)
	all := istioversion.All()
	for _, older := range all[:len(all)-1] {
		if older != defaultIstio() {
			t.Run(older.Version+" to "+defaultIstio().Version, func(t *testing.T) { upgradeByCanary(t, older, defaultIstio()) })
		}
	}
}

func upgradeByCanary(t *testing.T, present, next istioversion.Version) {
	t.Cleanup(func() { // the last one, when the settings are again as they were
		suite.a.awaitMesh(t, defaultIstio())
		eventually(t, scheduled+prompt, "istiod "+present.Version+" goes", func() string { return suite.a.gone(present) })
		awaitPeers(t)
	})
	suite.a.reconfigure(t, map[string]any{"globalVersion": present.Version})
	suite.a.awaitMesh(t, present)
	stays, moves := suite.a.labelled(t, inMesh), suite.a.labelled(t, inMesh)
	imageBefore := sidecarIn(suite.a.awaitRevision(t, newPod(stays, "api", nil, nil), present.Revision())).Image
	eventually(t, prompt, "the gateway is of the present version", func() string {
		return want(suite.a.gatewayImage(t), nil)(imageBefore)
	})

	// Add a version, and move one namespace.
	suite.a.configure(t, suite.module, map[string]any{"settings": map[string]any{"additionalVersions": []any{next.Version}}})
	suite.a.awaitMesh(t, next)
	suite.a.relabel(t, moves, map[string]string{"istio-injection": "", "istio.io/rev": next.Revision()})
	moved := suite.a.awaitRevision(t, newPod(moves, "api", nil, nil), next.Revision())
	stayed := suite.a.awaitRevision(t, newPod(stays, "api", nil, nil), present.Revision())
	if sidecarIn(stayed).Image != imageBefore || sidecarIn(moved).Image == imageBefore {
		t.Errorf("the proxy that stays has image %s, the one that moves %s, the gateway %s", sidecarIn(stayed).Image, sidecarIn(moved).Image, imageBefore)
	}

	// Check that both serve, and see the same.
	pods := map[istioversion.Version]*corev1.Pod{}
	hosts := []string{suite.a.serve(t, stays, "api"), suite.a.serve(t, moves, "api")}
	pods[present] = suite.a.run(t, newPod(stays, "api", nil, nil))
	pods[next] = suite.a.run(t, newPod(moves, "api", nil, nil))
	for version, pod := range pods {
		pods[version] = suite.a.awaitReadyPod(t, pod)
	}
	for version, pod := range pods {
		sidecar := suite.a.sidecar(t, pod, version)
		for i, target := range []*corev1.Pod{pods[present], pods[next]} {
			awaitView(t, sidecar, "the sidecar of revision "+version.Revision()+" knows both", func(view *mesh.View) string {
				handshake, err := view.Handshake(mesh.Outbound(80, "", hosts[i]), endpointOf(target))
				return want(handshake.TLS, err)(true)
			})
			suite.a.awaitAnswer(t, "its requests are answered by both", pod, webURL(hosts[i]), between(
				suite.a.spiffe(t, pod.Namespace, "default"), suite.a.spiffe(t, target.Namespace, "default"), target.Name))
		}
	}

	// Move the rest: change the global version, the gateway follows.
	suite.a.configure(t, suite.module, map[string]any{"settings": map[string]any{
		"globalVersion": next.Version, "additionalVersions": []any{present.Version},
	}})
	suite.a.awaitRevision(t, newPod(stays, "later", nil, nil), next.Revision())
	eventually(t, prompt, "the gateway follows the global version", func() string {
		return want(suite.a.gatewayImage(t), nil)(sidecarIn(moved).Image)
	})

	// Go back.
	suite.a.configure(t, suite.module, map[string]any{"settings": map[string]any{
		"globalVersion": present.Version, "additionalVersions": []any{next.Version},
	}})
	suite.a.awaitRevision(t, newPod(stays, "later", nil, nil), present.Revision())

	// Drop the version while it is used: it stays, and an Event names who uses it.
	suite.a.configure(t, suite.module, map[string]any{"settings": map[string]any{"additionalVersions": nil}})
	eventually(t, scheduled, "an Event says that namespace "+moves+" uses Istio "+next.Version, func() string {
		return suite.a.warned(t, "Istio "+next.Version+" ", "namespace "+moves)
	})
	if suite.a.gone(next) == "" {
		t.Error("a revision in use was removed")
	}
	eventually(t, prompt, "a revision in use is ready", func() string { return suite.a.installed(next) })
	suite.a.awaitRevision(t, newPod(moves, "still", nil, nil), next.Revision())

	// It is no longer in use: it is removed.
	suite.a.relabel(t, moves, map[string]string{"istio.io/rev": ""})
	if err := suite.a.typed.CoreV1().Pods(moves).Delete(context.Background(), pods[next].Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, scheduled+prompt, "the unused revision goes", func() string { return suite.a.gone(next) })
	suite.a.awaitRevision(t, newPod(stays, "last", nil, nil), present.Revision())
}

// warned returns what is missing for a Warning on the ModuleConfig that names all the words.
func (c *cluster) warned(t *testing.T, words ...string) (missing string) {
	t.Helper()
	events, err := c.typed.CoreV1().Events(metav1.NamespaceDefault).List(context.Background(), metav1.ListOptions{
		FieldSelector: "involvedObject.kind=ModuleConfig,type=Warning,involvedObject.name=" + suite.module,
	})
	if err != nil {
		return err.Error()
	}
	var messages []string
events:
	for _, event := range events.Items {
		messages = append(messages, event.Reason+": "+event.Message)
		for _, word := range words {
			if !strings.Contains(event.Message, word) {
				continue events
			}
		}
		return ""
	}
	return fmt.Sprintf("the warnings are %q", messages)
}

// installed returns what is missing of the version.
func (c *cluster) installed(version istioversion.Version) (missing string) {
	deployment, err := c.typed.AppsV1().Deployments(moduleNamespace).Get(context.Background(), "istiod-"+version.Revision(), metav1.GetOptions{})
	if err != nil {
		return err.Error()
	}
	if deployment.DeletionTimestamp != nil || deployment.Status.ReadyReplicas == 0 {
		return "Deployment " + deployment.Name + " is being deleted or not ready"
	}
	return ""
}

// gone says what of the version is still there.
func (c *cluster) gone(version istioversion.Version) (left string) {
	ctx := context.Background()
	if pods, err := c.pods(istiodOf(version)); err != nil || len(pods) > 0 {
		return fmt.Sprintf("%d of its Pods are still there (%v)", len(pods), err)
	}
	for what, get := range map[string]func() error{
		"its Deployment": func() error {
			_, err := c.typed.AppsV1().Deployments(moduleNamespace).Get(ctx, "istiod-"+version.Revision(), metav1.GetOptions{})
			return err
		},
		"its injection webhook": func() error {
			_, err := c.typed.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, injectorOf(version), metav1.GetOptions{})
			return err
		},
		"its mesh configuration": func() error {
			_, err := c.typed.CoreV1().ConfigMaps(moduleNamespace).Get(ctx, "istio-"+version.Revision(), metav1.GetOptions{})
			return err
		},
	} {
		if err := get(); !apierrors.IsNotFound(err) {
			return fmt.Sprintf("%s is still there (%v)", what, err)
		}
	}
	return ""
}
