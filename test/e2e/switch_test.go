//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// identity is what a cluster is known by; it must outlive everything that can be switched off.
type identity struct {
	uuid        string
	ca, keypair map[string][]byte
}

func (c *cluster) identity(t *testing.T) identity {
	t.Helper()
	ctx := context.Background()
	result := identity{uuid: c.clusterUUID(t)}
	for name, data := range map[string]*map[string][]byte{"cacerts": &result.ca, "d8-remote-authn-keypair": &result.keypair} {
		secret, err := c.typed.CoreV1().Secrets(moduleNamespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		*data = secret.Data
	}
	return result
}

func (c *cluster) clusterUUID(t *testing.T) string {
	t.Helper()
	config, err := c.typed.CoreV1().ConfigMaps("kube-system").Get(context.Background(), "d8-cluster-uuid", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return config.Data["cluster-uuid"]
}

func TestSwitchingOffAndOnAgain(t *testing.T) {
	for name, test := range map[string]struct {
		off, on map[string]any
		gone    func(t *testing.T, c *cluster) (missing string)
	}{
		"federation": {
			off: map[string]any{"settings": map[string]any{"federation": map[string]any{"enabled": false}}},
			on:  map[string]any{"settings": map[string]any{"federation": map[string]any{"enabled": true}}},
			gone: func(t *testing.T, c *cluster) string {
				t.Helper()
				return c.present(t, "the exporter", func(ctx context.Context) error {
					_, err := c.typed.AppsV1().Deployments(moduleNamespace).Get(ctx, exporterName, metav1.GetOptions{})
					return err
				})
			},
		},
		"the module": {
			off: map[string]any{"enabled": false},
			on:  map[string]any{"enabled": true},
			gone: func(t *testing.T, c *cluster) string {
				t.Helper()
				return c.present(t, "namespace "+moduleNamespace, func(ctx context.Context) error {
					_, err := c.typed.CoreV1().Namespaces().Get(ctx, moduleNamespace, metav1.GetOptions{})
					return err
				})
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			awaitPeers(t)
			namespace := suite.b.namespace(t)
			hostname := suite.b.publish(t, namespace, "web")
			suite.a.awaitImported(t, hostname, prompt)
			own := suite.a.ownServiceEntry(t)
			before, definitions := suite.a.identity(t), suite.a.definitions(t)
			t.Cleanup(func() {
				suite.a.configure(t, suite.module, test.on)
				awaitPeers(t)
			})

			suite.a.configure(t, suite.module, test.off)
			suite.a.awaitForgotten(t, hostname, restarted)
			eventually(t, restarted, name+" is gone", func() string { return test.gone(t, suite.a) })
			eventually(t, restarted, "no Pod of it is left", func() string {
				for _, program := range []component{exporter, watcher} {
					pods, err := suite.a.pods(program)
					if len(pods) > 0 {
						return fmt.Sprintf("Pod %s is there", pods[0].Name)
					}
					if err != nil {
						return err.Error()
					}
				}
				return ""
			})
			if remaining := suite.a.definitions(t); !slices.Equal(definitions, remaining) {
				t.Errorf("CRDs were %v and are %v", definitions, remaining)
			}
			if _, err := suite.a.dynamic.Resource(federations).Get(context.Background(), suite.b.name, metav1.GetOptions{}); err != nil {
				t.Errorf("a person's IstioFederation is gone: %v", err)
			}
			if suite.a.imported(t, own) == nil {
				t.Errorf("a person's own ServiceEntry is gone")
			}

			suite.a.configure(t, suite.module, test.on)
			suite.a.awaitImported(t, hostname, scheduled+restarted)
			awaitPeers(t)
			after := suite.a.identity(t)
			if before.uuid != after.uuid || after.uuid == "" {
				t.Errorf("the UUID was %s and is %s", before.uuid, after.uuid)
			}
			if !sameData(before.ca, after.ca) {
				t.Error("the CA is another")
			}
			if !sameData(before.keypair, after.keypair) {
				t.Error("the keypair is another")
			}
		})
	}
}

func sameData(a, b map[string][]byte) bool { return len(a) > 0 && maps.EqualFunc(a, b, bytes.Equal) }

// present returns a complaint when the thing exists.
func (c *cluster) present(t *testing.T, what string, get func(context.Context) error) string {
	t.Helper()
	switch err := get(context.Background()); {
	case apierrors.IsNotFound(err):
		return ""
	case err != nil:
		return err.Error()
	}
	return what + " is there"
}

// definitions are the names of the CRDs that the module installed.
func (c *cluster) definitions(t *testing.T) []string {
	t.Helper()
	list, err := c.dynamic.Resource(crds).List(context.Background(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, item := range list.Items {
		if strings.HasSuffix(item.GetName(), ".istio.io") || strings.HasPrefix(item.GetName(), "istio") {
			names = append(names, item.GetName())
		}
	}
	slices.Sort(names)
	if len(names) < 3 {
		t.Fatalf("the module installed only %v", names)
	}
	return names
}

// ownServiceEntry makes a ServiceEntry as a person would, and returns its host.
func (c *cluster) ownServiceEntry(t *testing.T) string {
	t.Helper()
	namespace := c.namespace(t)
	const host = "own.example.com"
	_, err := c.dynamic.Resource(serviceEntries).Namespace(namespace).Create(context.Background(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": map[string]any{"name": "own"},
		"spec": map[string]any{
			"hosts": []any{host}, "resolution": "DNS", "location": "MESH_EXTERNAL",
			"ports": []any{map[string]any{"name": "https", "number": int64(443), "protocol": "TLS"}},
		},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return host
}
