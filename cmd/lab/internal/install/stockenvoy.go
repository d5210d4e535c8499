package install

import (
	"context"
	_ "embed"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/poll"
)

//go:embed stockenvoy.yaml
var stockEnvoy []byte

var envoyFilters = schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1alpha3", Resource: "envoyfilters"}

// adaptToStockEnvoy applies what a stock Envoy needs, once the module's namespace
// and Istio's CRDs are there. While an istiod starts, its webhook rejects everything.
func (c *Cluster) adaptToStockEnvoy(ctx context.Context, note Note) error {
	objects, err := kube.Manifests(stockEnvoy)
	if err != nil {
		return err
	}
	err = poll.Until(ctx, stepTimeout, func(ctx context.Context) (bool, string, error) {
		_, err := c.Clients.Typed.CoreV1().Namespaces().Get(ctx, moduleNamespace, metav1.GetOptions{})
		if err == nil {
			err = c.Clients.Apply(ctx, envoyFilters, objects[0])
		}
		if err != nil && !apierrors.IsNotFound(err) {
			note(err.Error())
		}
		if err != nil {
			return poll.NotYet(err)
		}
		return true, "", nil
	})
	if err != nil {
		return fmt.Errorf("adapt the mesh to a stock Envoy: %w", err)
	}
	return nil
}
