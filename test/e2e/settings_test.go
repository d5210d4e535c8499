//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestAnInvalidSettingIsNamedAndTheLastGoodOnesStayInForce(t *testing.T) {
	awaitPeers(t)
	gateway := map[string]any{"settings": map[string]any{"alliance": map[string]any{"ingressGateway": map[string]any{"inlet": "Teleport"}}}}
	repaired := map[string]any{"settings": map[string]any{"alliance": nil}}
	t.Cleanup(func() {
		suite.a.configure(t, suite.module, repaired)
		awaitPeers(t)
	})
	suite.a.configure(t, suite.module, gateway)
	eventually(t, prompt, "the ModuleConfig's status names the setting", func() string {
		if message := suite.a.moduleMessage(t); !strings.Contains(message, "inlet") {
			return "its message is " + message
		}
		return ""
	})
	namespace := suite.b.namespace(t)
	suite.a.awaitImported(t, suite.b.publish(t, namespace, "web"), prompt)

	suite.a.configure(t, suite.module, repaired)
	eventually(t, prompt, "the message is withdrawn", func() string { return suite.a.moduleMessage(t) })
}

// TestSettingsOfOlderVersionsTakeEffect: a ModuleConfig that was written for Deckhouse's own module works as it is.
func TestSettingsOfOlderVersionsTakeEffect(t *testing.T) {
	awaitPeers(t)
	config, err := suite.a.dynamic.Resource(moduleConfigs).Get(context.Background(), suite.module, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	newest, _, _ := unstructured.NestedInt64(config.Object, "spec", "version")
	t.Cleanup(func() {
		suite.a.configure(t, suite.module, map[string]any{"version": newest, "settings": map[string]any{"auth": nil, "proxyConfig": nil}})
		eventually(t, prompt, "the settings of the newest version are in force", func() string { return suite.a.moduleMessage(t) })
	})
	for _, older := range []struct {
		version             int64
		auth                map[string]any
		idleTimeout, advice string
	}{
		{1, map[string]any{"password": "P4ssw0rd"}, "41m", "auth.password"},
		{2, nil, "42m", "proxyConfig"},
	} {
		suite.a.configure(t, suite.module, map[string]any{"version": older.version, "settings": map[string]any{
			"auth": older.auth, "proxyConfig": map[string]any{"idleTimeout": older.idleTimeout},
		}})
		eventually(t, restarted, fmt.Sprintf("settings of version %d are in force", older.version), func() string {
			mesh, err := suite.a.typed.CoreV1().ConfigMaps(moduleNamespace).Get(context.Background(), "istio-"+defaultIstio().Revision(), metav1.GetOptions{})
			if err != nil || !strings.Contains(mesh.Data["mesh"], older.idleTimeout) {
				return fmt.Sprintf("the mesh's idle timeout is not %s (%v)", older.idleTimeout, err)
			}
			return ""
		})
		eventually(t, prompt, "the ModuleConfig's status says how to write them today", func() string {
			message := suite.a.moduleMessage(t)
			if !strings.Contains(message, fmt.Sprintf("of version %d and converted to %d", older.version, newest)) || !strings.Contains(message, older.advice) {
				return "its message is " + message
			}
			return ""
		})
	}
}

// outsideNodePorts is a port that the settings may name, as some clusters give
// it to Services, and that the lab's API server rejects: its range is the default one, 30000 to 32767.
const outsideNodePorts = 8081

// TestSettingsThatTheAPIServerRejectsAreReported: nothing but the API server
// knows the range of node ports, so that these settings pass every check and
// their Helm run fails.
func TestSettingsThatTheAPIServerRejectsAreReported(t *testing.T) {
	awaitPeers(t)
	gateway := func(inlet, nodePort any) map[string]any {
		return map[string]any{"settings": map[string]any{"alliance": map[string]any{
			"ingressGateway": map[string]any{"inlet": inlet, "nodePort": nodePort},
		}}}
	}
	before := suite.a.gatewaySettings(t)
	rejected, good := gateway("NodePort", map[string]any{"port": outsideNodePorts}), gateway(before["inlet"], before["nodePort"])
	t.Cleanup(func() {
		suite.a.configure(t, suite.module, good)
		awaitPeers(t)
	})
	service := suite.a.gatewayService(t)
	unchanged := suite.a.mustRun(t, operator, exporter, watcher, istiodOf(defaultIstio()))

	suite.a.configure(t, suite.module, rejected)
	eventually(t, restarted, "the ModuleConfig's status says what the API server said", func() string {
		message := suite.a.moduleMessage(t)
		for _, part := range []string{"Not applied", strconv.Itoa(outsideNodePorts), "not in the valid range"} {
			if !strings.Contains(message, part) {
				return fmt.Sprintf("its message is %q, without %q", message, part)
			}
		}
		return ""
	})
	// The module runs on with what it has: its objects, its Pods, and its hooks.
	if now := suite.a.gatewayService(t); !equality.Semantic.DeepEqual(service.Spec, now.Spec) {
		t.Errorf("the gateway's Service was %+v and is %+v", service.Spec, now.Spec)
	}
	namespace := suite.b.namespace(t)
	suite.a.awaitImported(t, suite.b.publish(t, namespace, "web"), prompt)
	unchanged()
	if message := suite.a.moduleMessage(t); !strings.HasPrefix(message, "Not applied") {
		t.Errorf("while the settings stay, the message changed to %q", message)
	}

	suite.a.configure(t, suite.module, good)
	eventually(t, restarted, "the message is withdrawn", func() string { return suite.a.moduleMessage(t) })
}

// gatewaySettings are the settings alliance.ingressGateway of the ModuleConfig; nil for those it leaves out.
func (c *cluster) gatewaySettings(t *testing.T) map[string]any {
	t.Helper()
	config, err := c.dynamic.Resource(moduleConfigs).Get(context.Background(), suite.module, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	settings, _, err := unstructured.NestedMap(config.Object, "spec", "settings", "alliance", "ingressGateway")
	if err != nil {
		t.Fatal(err)
	}
	return settings
}

func (c *cluster) gatewayService(t *testing.T) *corev1.Service {
	t.Helper()
	service, err := c.typed.CoreV1().Services(moduleNamespace).Get(context.Background(), "ingressgateway", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return service
}

func (c *cluster) moduleMessage(t *testing.T) string {
	t.Helper()
	config, err := c.dynamic.Resource(moduleConfigs).Get(context.Background(), suite.module, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	message, _, _ := unstructured.NestedString(config.Object, "status", "message")
	return message
}
