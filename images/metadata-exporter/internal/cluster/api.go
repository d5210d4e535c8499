package cluster

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	"github.com/deckhouse-mesh/istio/lib/informer"
)

// API is what the exporter reads of the API server.
type API struct {
	// Services, EndpointSlices and Pods of all namespaces.
	Services       informer.Reader[*corev1.ServiceList]
	EndpointSlices informer.Reader[*discoveryv1.EndpointSliceList]
	Pods           informer.Reader[*corev1.PodList]
	// ConfigMaps and Secrets of the exporter's namespace.
	ConfigMaps informer.Reader[*corev1.ConfigMapList]
	Secrets    informer.Reader[*corev1.SecretList]
}

// NewAPI makes a client of the five resources. client-go's clientset would link
// every kind of Kubernetes, with 8 MiB of resident memory, and its generic client
// (package gentype) what fakes need, one more.
func NewAPI(config *rest.Config, namespace string) (API, error) {
	scheme := runtime.NewScheme()
	scheme.AddKnownTypes(corev1.SchemeGroupVersion,
		&corev1.Service{}, &corev1.ServiceList{}, &corev1.Pod{}, &corev1.PodList{},
		&corev1.ConfigMap{}, &corev1.ConfigMapList{}, &corev1.Secret{}, &corev1.SecretList{})
	scheme.AddKnownTypes(discoveryv1.SchemeGroupVersion, &discoveryv1.EndpointSlice{}, &discoveryv1.EndpointSliceList{})
	metav1.AddToGroupVersion(scheme, corev1.SchemeGroupVersion)
	metav1.AddToGroupVersion(scheme, discoveryv1.SchemeGroupVersion)
	codecs, parameters := serializer.NewCodecFactory(scheme), runtime.NewParameterCodec(scheme)
	connect := func(version schema.GroupVersion, path string) (rest.Interface, error) {
		of := rest.CopyConfig(config)
		of.GroupVersion, of.APIPath = &version, path
		of.ContentType, of.AcceptContentTypes = runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf+","+runtime.ContentTypeJSON
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
	everywhere := metav1.NamespaceAll
	return API{
		Services:       &reader[corev1.ServiceList, *corev1.ServiceList]{core, parameters, "services", everywhere},
		EndpointSlices: &reader[discoveryv1.EndpointSliceList, *discoveryv1.EndpointSliceList]{discovery, parameters, "endpointslices", everywhere},
		Pods:           &reader[corev1.PodList, *corev1.PodList]{core, parameters, "pods", everywhere},
		ConfigMaps:     &reader[corev1.ConfigMapList, *corev1.ConfigMapList]{core, parameters, "configmaps", namespace},
		Secrets:        &reader[corev1.SecretList, *corev1.SecretList]{core, parameters, "secrets", namespace},
	}, nil
}

// reader is an informer.Reader of lists of type T.
type reader[T any, L interface {
	*T
	runtime.Object
}] struct {
	client     rest.Interface
	parameters runtime.ParameterCodec
	// resource is its name in URLs; namespace is empty for all.
	resource, namespace string
}

func (r *reader[T, L]) List(ctx context.Context, options metav1.ListOptions) (L, error) {
	list := L(new(T))
	return list, r.get(options).Do(ctx).Into(list)
}

func (r *reader[T, L]) Watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	options.Watch = true
	return r.get(options).Watch(ctx)
}

func (r *reader[T, L]) get(options metav1.ListOptions) *rest.Request {
	request := r.client.Get().NamespaceIfScoped(r.namespace, r.namespace != metav1.NamespaceAll).
		Resource(r.resource).VersionedParams(&options, r.parameters)
	if options.TimeoutSeconds != nil {
		request.Timeout(time.Duration(*options.TimeoutSeconds) * time.Second)
	}
	return request
}
