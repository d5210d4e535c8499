//go:build e2e

package e2e

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/ca"
	"github.com/deckhouse-mesh/istio/lib/embedded"
	"github.com/deckhouse-mesh/istio/lib/names"
)

var (
	namespaces      = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	serviceAccounts = schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}
)

const (
	// standIn is the module that stands in for Deckhouse's own, in the repository.
	standIn = "../../cmd/lab/internal/install/testdata/embedded-istio"
	// standInOnNode is where a node has it, below /var, which each node has for itself.
	standInOnNode = "/var/lib/embedded-istio"
	// standInInPod is where the operator looks for modules.
	standInInPod = "/modules/100-istio"
)

// TestTheClusterIsLeftToTheEmbeddedIstio: under its second name the module does nothing
// while a module istio is on, says so, and continues with its identity afterwards.
func TestTheClusterIsLeftToTheEmbeddedIstio(t *testing.T) {
	if suite.module == names.Embedded {
		t.Skip("here the module has the embedded one's name: make test-e2e BUNDLE=1 MODULE=istio-alliance")
	}
	awaitPeers(t)
	before := suite.a.identity(t)
	eventually(t, prompt, "beside the module the embedded one cannot be switched on", func() string {
		err := suite.a.switchEmbeddedOn(t)
		return unless(err != nil && strings.Contains(err.Error(), "the module "+suite.module+" is on"), "the API server says %q", because(err))
	})
	t.Cleanup(func() {
		suite.a.removeEmbedded(t)
		suite.a.configure(t, suite.module, map[string]any{"enabled": true})
		awaitPeers(t)
	})
	suite.a.configure(t, suite.module, map[string]any{"enabled": false})
	suite.a.awaitNoNamespace(t)
	suite.a.addStandIn(t)
	if err := suite.a.switchEmbeddedOn(t); err != nil {
		t.Fatal(err)
	}
	eventually(t, restarted, "the stand-in is installed", func() string {
		// Secrets, a ServiceAccount, the webhooks, which Helm creates last, and the namespace.
		return unless(len(suite.a.objectsOfEmbedded(t)) >= 5, "its objects are not there")
	})
	installed := suite.a.objectsOfEmbedded(t)

	suite.a.configure(t, suite.module, map[string]any{"enabled": true})
	eventually(t, restarted, "the ModuleConfig's status says why the module is off", func() string {
		message := suite.a.moduleMessage(t)
		return unless(message == "Off: "+embedded.Reason(suite.module), "its message is %q", message)
	})
	if now := suite.a.objectsOfEmbedded(t); !maps.Equal(installed, now) {
		t.Errorf("the embedded one's objects were %v and are %v", installed, now)
	}
	if made := suite.a.objectsOf(t, suite.module); len(made) > 0 {
		t.Errorf("beside the embedded one the module made %v", made)
	}

	suite.a.configure(t, names.Embedded, map[string]any{"enabled": false})
	awaitPeers(t)
	if after := suite.a.identity(t); after.uuid != before.uuid || !sameData(after.ca, before.ca) || !sameData(after.keypair, before.keypair) {
		t.Error("after the embedded one the cluster has another identity")
	}
}

// switchEmbeddedOn as a person does; the CA and the keys, which the platform's istio makes itself, are among its settings.
func (c *cluster) switchEmbeddedOn(t *testing.T) error {
	t.Helper()
	authority, err := ca.Generate("cluster.local")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := authn.GenerateKeypair()
	if err != nil {
		t.Fatal(err)
	}
	return c.try(moduleConfigs, "ModuleConfig", "", names.Embedded, nil, map[string]any{"enabled": true, "version": int64(1), "settings": map[string]any{
		"internal": map[string]any{
			"ca":   map[string]any{"cert": authority.Cert, "key": authority.Key, "chain": authority.Chain, "root": authority.Root},
			"keys": map[string]any{"pub": keys.Pub, "priv": keys.Priv},
		},
	}})
}

// addStandIn puts the module that stands in for the embedded one where the operator looks for modules.
func (c *cluster) addStandIn(t *testing.T) {
	t.Helper()
	for _, node := range c.described(t).Nodes {
		on := filepath.Join("/proc", strconv.Itoa(node.PID), "root", standInOnNode)
		if err := os.RemoveAll(on); err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"Chart.yaml", "openapi", "templates"} { // its hooks need programs that the operator's image has not
			if err := copyTo(filepath.Join(on, part), filepath.Join(standIn, part)); err != nil {
				t.Fatal(err)
			}
		}
	}
	former := c.running(t, operator)
	c.patchOperator(t, `{"spec":{"template":{"spec":{
		"volumes":[{"name":"embedded","hostPath":{"path":"`+standInOnNode+`"}}],
		"containers":[{"name":"operator","volumeMounts":[{"name":"embedded","mountPath":"`+standInInPod+`","readOnly":true}]}]}}}}`)
	c.awaitAnother(t, operator, former)
	c.awaitScaled(t, operator, 1)
}

// removeEmbedded undoes all of that.
func (c *cluster) removeEmbedded(t *testing.T) {
	t.Helper()
	err := c.dynamic.Resource(moduleConfigs).Delete(context.Background(), names.Embedded, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Error(err)
	}
	eventually(t, restarted, "the stand-in is removed", func() string {
		return unless(len(c.objectsOfEmbedded(t)) == 0, "its objects are there")
	})
	c.patchOperator(t, `{"spec":{"template":{"spec":{
		"volumes":[{"name":"embedded","$patch":"delete"}],
		"containers":[{"name":"operator","volumeMounts":[{"mountPath":"`+standInInPod+`","$patch":"delete"}]}]}}}}`)
	c.awaitScaled(t, operator, 1)
}

func (c *cluster) patchOperator(t *testing.T, patch string) {
	t.Helper()
	_, err := c.typed.AppsV1().Deployments(operator.namespace).Patch(context.Background(), operator.name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		t.Fatalf("change the operator of %s: %v", c.name, err)
	}
}

func (c *cluster) awaitNoNamespace(t *testing.T) {
	t.Helper()
	eventually(t, restarted, "namespace "+moduleNamespace+" is gone", func() string {
		return c.present(t, "it", func(ctx context.Context) error {
			_, err := c.typed.CoreV1().Namespaces().Get(ctx, moduleNamespace, metav1.GetOptions{})
			return err
		})
	})
}

// objectsOfEmbedded are the versions of what the embedded istio has in its namespace, and of its webhooks.
func (c *cluster) objectsOfEmbedded(t *testing.T) map[string]string {
	t.Helper()
	return c.objectsOf(t, names.Embedded)
}

// objectsOf are the versions of what the module of that name has made: what a release of it has in any case.
func (c *cluster) objectsOf(t *testing.T, module string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, resource := range []struct {
		of        string
		versioned map[string]string
	}{
		{"Secret", c.versions(t, secrets, moduleNamespace, metav1.ListOptions{LabelSelector: names.SelectorOf(module)})},
		{"ServiceAccount", c.versions(t, serviceAccounts, moduleNamespace, metav1.ListOptions{LabelSelector: names.SelectorOf(module)})},
		{"webhooks", c.versions(t, mutatingWebhooks, "", metav1.ListOptions{LabelSelector: names.SelectorOf(module)})},
		{"Namespace", c.versions(t, namespaces, "", metav1.ListOptions{LabelSelector: names.SelectorOf(module)})},
	} {
		for name, version := range resource.versioned {
			all[resource.of+" "+name] = version
		}
	}
	return all
}

// copyTo copies a file or a folder.
func copyTo(to, from string) error {
	if found, err := os.Stat(from); err != nil || found.IsDir() {
		return errors.Join(err, os.CopyFS(to, os.DirFS(from)))
	}
	content, err := os.ReadFile(from)
	return errors.Join(err, os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, content, 0o644))
}
