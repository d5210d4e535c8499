//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// everyHost may not be claimed for the whole mesh, a rule that no schema knows, only istiod.
const everyHost = "*"

func routeTo(host string) map[string]any {
	return map[string]any{
		"hosts": []any{host},
		"http":  []any{map[string]any{"route": []any{map[string]any{"destination": map[string]any{"host": "api"}}}}},
	}
}

func TestIstiodRejectsAVirtualServiceThatCannotWork(t *testing.T) {
	suite.a.awaitMesh(t, defaultIstio())
	namespace := suite.a.namespace(t)
	for name, labels := range map[string]map[string]string{
		"of no revision":         nil,
		"of a definite revision": {"istio.io/rev": defaultIstio().Revision()},
		"with our own label":     {"module": suite.module},
	} {
		t.Run(name, func(t *testing.T) {
			object := strings.ReplaceAll(name, " ", "-")
			err := suite.a.try(virtualServices, "VirtualService", namespace, "bad-"+object, labels, routeTo(everyHost))
			if err == nil || !strings.Contains(err.Error(), "admission webhook") || !strings.Contains(err.Error(), "wildcard host") {
				t.Errorf("the API server answers %v, want to be rejected by istiod's webhook", err)
			}
			if err := suite.a.try(virtualServices, "VirtualService", namespace, "good-"+object, labels, routeTo("api")); err != nil {
				t.Errorf("one that can work is rejected: %v", err)
			}
		})
	}
}

func TestTheModuleContinuesWhileIstiodHangs(t *testing.T) {
	awaitPeers(t)
	suite.a.awaitMesh(t, defaultIstio())
	namespace, published := suite.a.namespace(t), suite.b.namespace(t)
	thaw := suite.a.freeze(t, istiodOf(defaultIstio()))
	t.Cleanup(func() {
		thaw() // the kubelet may have replaced it, as it does not answer its probes
		eventually(t, restarted, "istiod checks objects again", func() string {
			if err := suite.a.create(context.Background(), namespace, "after"); err != nil {
				return err.Error()
			}
			return ""
		})
	})

	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := suite.a.create(ctx, namespace, "during"); err == nil {
		t.Error("a person's VirtualService is accepted unchecked: istiod does not hang, or is not asked")
	}
	suite.a.awaitImported(t, suite.b.publish(t, published, "web"), prompt)
	suite.a.reconfigure(t, map[string]any{"tracing": map[string]any{
		"enabled": true, "collector": map[string]any{"zipkin": map[string]any{"address": "zipkin.tracing:9411"}},
	}})
	eventually(t, prompt, "the module's settings take effect", func() string {
		config, err := suite.a.typed.CoreV1().ConfigMaps(moduleNamespace).Get(context.Background(), "istio-"+defaultIstio().Revision(), metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if !strings.Contains(config.Data["mesh"], "zipkin.tracing") {
			return "the mesh's configuration is " + config.Data["mesh"]
		}
		return ""
	})
}

// create a good VirtualService without waiting longer than the context allows.
func (c *cluster) create(ctx context.Context, namespace, name string) error {
	_, err := c.dynamic.Resource(virtualServices).Namespace(namespace).Create(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": map[string]any{"name": name}, "spec": routeTo("api"),
	}}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}
