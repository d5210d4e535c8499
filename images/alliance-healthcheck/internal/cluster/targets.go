package cluster

import (
	"log/slog"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"

	"github.com/deckhouse-mesh/istio/lib/healthcheck"
	"github.com/deckhouse-mesh/istio/lib/informer"
)

// WatchTargets makes an informer that calls set with each list, beginning with the present one. A list that cannot be
// decoded, or is gone, changes nothing.
func WatchTargets(client dynamic.Interface, namespace string, set func(content string) error, log *slog.Logger) (*informer.Informer, error) {
	take := func(object any) {
		if found, ok := object.(*unstructured.Unstructured); ok {
			if err := set(data(found)[healthcheck.TargetsKey]); err != nil {
				log.Warn("the list of peers cannot be used; the last one stays in force", "configMap", found.GetName(), "error", err)
			}
		}
	}
	return informer.New(informer.Source[*unstructured.UnstructuredList]{
		Reader: ConfigMaps(client, namespace), Client: client, Example: &unstructured.Unstructured{}, Name: "ConfigMap " + healthcheck.TargetsConfigMap,
		Select: informer.Named(healthcheck.TargetsConfigMap), Strip: informer.StripMetadata,
	}, log, cache.ResourceEventHandlerFuncs{
		AddFunc:    take,
		UpdateFunc: func(_, now any) { take(now) },
	})
}
