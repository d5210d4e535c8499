//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestAnInvalidSettingIsNamedAndTheLastGoodOnesStayInForce(t *testing.T) {
	awaitJoined(t)
	gateway := map[string]any{"settings": map[string]any{"alliance": map[string]any{"ingressGateway": map[string]any{"inlet": "Teleport"}}}}
	repaired := map[string]any{"settings": map[string]any{"alliance": nil}}
	t.Cleanup(func() {
		suite.a.configure(t, "istio", repaired)
		awaitJoined(t)
	})
	suite.a.configure(t, "istio", gateway)
	eventually(t, prompt, "the ModuleConfig's status names the setting", func() string {
		if message := suite.a.moduleMessage(t); !strings.Contains(message, "inlet") {
			return "its message is " + message
		}
		return ""
	})
	namespace := suite.b.namespace(t)
	suite.a.awaitImported(t, suite.b.publish(t, namespace, "web"), prompt)

	suite.a.configure(t, "istio", repaired)
	eventually(t, prompt, "the message is withdrawn", func() string { return suite.a.moduleMessage(t) })
}

func (c *cluster) moduleMessage(t *testing.T) string {
	t.Helper()
	config, err := c.dynamic.Resource(moduleConfigs).Get(context.Background(), "istio", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	message, _, _ := unstructured.NestedString(config.Object, "status", "message")
	return message
}
