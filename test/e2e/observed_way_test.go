//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/deckhouse-mesh/istio/lib/healthcheck"
)

// TestObservedWayToAPeerIsUnknownWhereNobodyLooks has the parts of the check itself fail, which says nothing about the peer, and
// leaves the mesh without the peer's Service, which does. TestTheConditionNamesThePartOfTheWayThatFails breaks the rest of the way.
func TestObservedWayToAPeerIsUnknownWhereNobodyLooks(t *testing.T) {
	needObservability(t)
	awaitPeers(t)
	await := func(name, status, reason string) {
		t.Helper()
		suite.a.awaitDataplane(t, federations, name, status, reason, "", observed)
	}
	await(suite.b.name, "True", healthcheck.ReasonAnswers)

	t.Run("its proxy is killed again and again", func(t *testing.T) {
		eventually(t, observed, "the condition says that the proxy is not ready", func() string {
			if pods, err := suite.a.pods(healthchecker); err == nil && len(pods) == 1 && containerStatus(&pods[0], proxyContainer) != nil {
				suite.a.killPod(t, &pods[0], proxyContainer)
			}
			status, reason, message := suite.a.condition(suite.b.name, dataplaneCondition)
			return unless(status == "Unknown" && reason == healthcheck.ReasonProxyNotReady, "%s %s: %s", status, reason, message)
		})
		await(suite.b.name, "True", healthcheck.ReasonAnswers)
	})
	t.Run("istiod hangs when the peer begins to publish, and the Service is not imported", func(t *testing.T) { hangsAtPublication(t, await) })
	t.Run("it is switched off", func(t *testing.T) {
		enable := func(enabled bool) {
			suite.a.configure(t, suite.module, map[string]any{"settings": map[string]any{
				"alliance": map[string]any{"healthcheck": map[string]any{"enabled": enabled}},
			}})
		}
		t.Cleanup(func() { enable(true) })
		enable(false)
		await(suite.b.name, "Unknown", "HealthcheckDisabled")
		suite.b.awaitDataplane(t, federations, suite.a.name, "Unknown", "NotPublished", "", observed)
		enable(true)
		await(suite.b.name, "True", healthcheck.ReasonAnswers)
	})
}

// hangsAtPublication: what istiod has not sent, no proxy knows. What spec.import leaves out is not called.
func hangsAtPublication(t *testing.T, await func(name, status, reason string)) {
	t.Helper()
	peer, clusterUUID := newFakePeer(t, "late.example"), uuid.NewString()
	peer.public = altered(peer.public, func(document map[string]any) { document["clusterUUID"] = clusterUUID })
	opened := peer.serveMesh(t)
	opened.answerAs(http.StatusOK, clusterUUID)
	suite.a.federate(t, peer.federation("late"))
	await("late", "Unknown", "NotPublished")

	thaw := suite.a.freeze(t, istiodOf(defaultIstio()))
	peer.private = peer.publishingHealthcheck(clusterUUID)
	suite.a.refresh(t, "late")
	await("late", "False", healthcheck.ReasonNameUnknown)
	thaw()
	await("late", "True", healthcheck.ReasonAnswers)
	suite.a.importOnly(t, "late", "*.shop")
	await("late", "Unknown", "NotImported")
	suite.a.importOnly(t, "late", "*.shop", healthcheck.Name+"-*")
	await("late", "True", healthcheck.ReasonAnswers)
}

// importOnly has the cluster accept only those of the peer's services that match one of the globs.
func (c *cluster) importOnly(t *testing.T, name string, globs ...string) {
	t.Helper()
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"import": globs}})
	if err == nil {
		_, err = c.dynamic.Resource(federations).Patch(context.Background(), name, types.MergePatchType, patch, metav1.PatchOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}
