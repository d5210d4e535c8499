package cluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/gentype"
	"k8s.io/client-go/rest"
)

// Reader lists and watches the objects of one kind, those of one namespace or
// of all.
type Reader[L runtime.Object] interface {
	List(ctx context.Context, options metav1.ListOptions) (L, error)
	Watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error)
}

// API is what the feed reads of the API server.
type API struct {
	// Services, EndpointSlices and Pods of all namespaces.
	Services       Reader[*corev1.ServiceList]
	EndpointSlices Reader[*discoveryv1.EndpointSliceList]
	Pods           Reader[*corev1.PodList]
	// ConfigMaps and Secrets of the exporter's namespace.
	ConfigMaps Reader[*corev1.ConfigMapList]
	Secrets    Reader[*corev1.SecretList]
}

// NewAPI makes an API of the five resources it has. client-go's clientset would
// bring every kind of Kubernetes along, with 8 MiB of resident memory.
func NewAPI(config *rest.Config, namespace string) (API, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, discoveryv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return API{}, fmt.Errorf("register the kinds that are read: %w", err)
		}
	}
	// For the options of lists and watches, which have no version of their own.
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	codecs, parameters := serializer.NewCodecFactory(scheme), runtime.NewParameterCodec(scheme)
	connect := func(version schema.GroupVersion, path string) (rest.Interface, error) {
		of := rest.CopyConfig(config)
		of.GroupVersion, of.APIPath = &version, path
		of.NegotiatedSerializer = rest.CodecFactoryForGeneratedClient(scheme, codecs).WithoutConversion()
		client, err := rest.RESTClientFor(of)
		if err != nil {
			return nil, fmt.Errorf("make a client of %s: %w", version, err)
		}
		return client, nil
	}
	core, err := connect(corev1.SchemeGroupVersion, "/api")
	if err != nil {
		return API{}, err
	}
	discovery, err := connect(discoveryv1.SchemeGroupVersion, "/apis")
	if err != nil {
		return API{}, err
	}
	return API{
		Services: gentype.NewClientWithList("services", core, parameters, metav1.NamespaceAll, made[corev1.Service],
			made[corev1.ServiceList], gentype.PrefersProtobuf[*corev1.Service]()),
		EndpointSlices: gentype.NewClientWithList("endpointslices", discovery, parameters, metav1.NamespaceAll, made[discoveryv1.EndpointSlice],
			made[discoveryv1.EndpointSliceList], gentype.PrefersProtobuf[*discoveryv1.EndpointSlice]()),
		Pods: gentype.NewClientWithList("pods", core, parameters, metav1.NamespaceAll, made[corev1.Pod],
			made[corev1.PodList], gentype.PrefersProtobuf[*corev1.Pod]()),
		ConfigMaps: gentype.NewClientWithList("configmaps", core, parameters, namespace, made[corev1.ConfigMap],
			made[corev1.ConfigMapList], gentype.PrefersProtobuf[*corev1.ConfigMap]()),
		Secrets: gentype.NewClientWithList("secrets", core, parameters, namespace, made[corev1.Secret],
			made[corev1.SecretList], gentype.PrefersProtobuf[*corev1.Secret]()),
	}, nil
}

func made[T any]() *T { return new(T) }
