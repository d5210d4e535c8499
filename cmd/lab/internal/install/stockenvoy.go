package install

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
	"github.com/deckhouse-mesh/istio/lib/await"
)

//go:embed stockenvoy.yaml
var stockEnvoy []byte

var envoyFilters = schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1alpha3", Resource: "envoyfilters"}

// adaptationPoll is how soon the EnvoyFilter is applied again when it is deleted.
const adaptationPoll = time.Second

// KeepAdapted applies what a stock Envoy needs whenever it is deleted, until the
// context ends: it is deleted with the module's namespace when somebody switches
// the module off, and proxies must work when the module is on again.
func (c *Cluster) KeepAdapted(ctx context.Context) {
	objects, err := kube.Manifests(stockEnvoy)
	if err != nil || !c.StockEnvoy {
		return
	}
	filter := unstructured.Unstructured{Object: objects[0]}
	present := c.Clients.Dynamic.Resource(envoyFilters).Namespace(filter.GetNamespace())
	ticker := time.NewTicker(adaptationPoll)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if _, err := present.Get(ctx, filter.GetName(), metav1.GetOptions{}); apierrors.IsNotFound(err) {
				// Without the namespace, the CRD or an istiod that checks it, the next attempt is soon.
				_ = c.Clients.Apply(ctx, envoyFilters, objects[0])
			}
		}
	}
}

// adaptToStockEnvoy applies what a stock Envoy needs, once the module's namespace
// and Istio's CRDs exist. While an istiod starts, its webhook rejects everything.
func (c *Cluster) adaptToStockEnvoy(ctx context.Context, note Note) error {
	objects, err := kube.Manifests(stockEnvoy)
	if err != nil {
		return err
	}
	err = await.Until(ctx, stepTimeout, func(ctx context.Context) (bool, string, error) {
		_, err := c.Clients.Typed.CoreV1().Namespaces().Get(ctx, moduleNamespace, metav1.GetOptions{})
		if err == nil {
			err = c.Clients.Apply(ctx, envoyFilters, objects[0])
		}
		if err != nil && !apierrors.IsNotFound(err) {
			note(err.Error())
		}
		if err != nil {
			return await.NotYet(err)
		}
		return true, "", nil
	})
	if err != nil {
		return fmt.Errorf("adapt the mesh to a stock Envoy: %w", err)
	}
	return nil
}
