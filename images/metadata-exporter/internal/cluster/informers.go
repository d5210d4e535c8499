package cluster

import (
	"context"
	"log/slog"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/publicservices"
)

// newServiceInformer watches the labelled Services of all namespaces, stripped
// to what their published form needs.
func newServiceInformer(client kubernetes.Interface) cache.SharedIndexInformer {
	return coreinformers.NewFilteredServiceInformer(client, metav1.NamespaceAll, 0, cache.Indexers{}, func(options *metav1.ListOptions) {
		options.LabelSelector = v1alpha1.PublicServiceLabel
	})
}

// newConfigMapInformer and newSecretInformer watch one object each. The field
// selector is what lets a Role with resourceNames allow the list and the watch.
func newConfigMapInformer(client kubernetes.Interface, namespace string) cache.SharedIndexInformer {
	return coreinformers.NewFilteredConfigMapInformer(client, namespace, 0, cache.Indexers{}, only(ConfigMapName))
}

func newSecretInformer(client kubernetes.Interface, namespace string) cache.SharedIndexInformer {
	return coreinformers.NewFilteredSecretInformer(client, namespace, 0, cache.Indexers{}, only(SecretName))
}

func only(name string) func(*metav1.ListOptions) {
	return func(options *metav1.ListOptions) {
		options.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
	}
}

// every calls changed for every event.
func every(changed func()) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { changed() },
		UpdateFunc: func(_, _ any) { changed() },
		DeleteFunc: func(any) { changed() },
	}
}

// prepare makes an informer keep little, report its failures and tell handler of its events.
func prepare(informer cache.SharedIndexInformer, resource string, log *slog.Logger, handler cache.ResourceEventHandler) error {
	if err := informer.SetTransform(strip); err != nil {
		return err
	}
	err := informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, _ *cache.Reflector, err error) {
		if ctx.Err() == nil {
			log.Warn("list or watch failed; what is known stays, retrying", "resource", resource, "error", err)
		}
	})
	if err != nil {
		return err
	}
	_, err = informer.AddEventHandler(handler)
	return err
}

// strip drops what nothing here reads.
func strip(object any) (any, error) {
	switch object := object.(type) {
	case *corev1.Service:
		return stripService(object), nil
	case *discoveryv1.EndpointSlice:
		return stripEndpointSlice(object), nil
	case *corev1.Pod:
		return stripPod(object), nil
	case metav1.Object:
		object.SetManagedFields(nil)
		object.SetAnnotations(nil)
	}
	return object, nil
}

func stripService(service *corev1.Service) *corev1.Service {
	kept := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name: service.Name, Namespace: service.Namespace, UID: service.UID,
			ResourceVersion: service.ResourceVersion, DeletionTimestamp: service.DeletionTimestamp,
		},
		Spec: corev1.ServiceSpec{Type: service.Spec.Type, Ports: service.Spec.Ports},
	}
	if accounts, ok := service.Annotations[publicservices.AccountsAnnotation]; ok {
		kept.Annotations = map[string]string{publicservices.AccountsAnnotation: accounts}
	}
	return kept
}
