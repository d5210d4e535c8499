package cluster

import (
	"slices"
	"strings"
	"unique"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/deckhouse-mesh/istio/lib/informer"
	"github.com/deckhouse-mesh/istio/lib/publicservices"
)

// objectMeta is what an informer needs of an object in its cache: its name, and
// its version to tell an update from a repetition. metav1.ObjectMeta has 248 bytes
// even when it is empty.
type objectMeta struct {
	types.NamespacedName

	version string
}

var _ metav1.ObjectMetaAccessor = objectMeta{}

// GetObjectMeta implements metav1.ObjectMetaAccessor.
func (m objectMeta) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name, ResourceVersion: m.version}
}

func metaOf(object metav1.Object) objectMeta {
	return objectMeta{
		NamespacedName: types.NamespacedName{Namespace: unique.Make(object.GetNamespace()).Value(), Name: object.GetName()},
		version:        object.GetResourceVersion(),
	}
}

// service is the cached part of a Service.
type service struct {
	objectMeta
	*publicservices.Candidate
}

// endpointSlice is the cached part of an EndpointSlice.
type endpointSlice struct {
	objectMeta

	service types.NamespacedName
	// pods are the names of the Pods it points to, sorted.
	pods []string
	// foreign is true when it points to something else besides Pods.
	foreign bool
}

// meshPod is the cached part of a Pod.
type meshPod struct {
	objectMeta

	// serviceAccount is "<namespace>/<name>", the same few for thousands of Pods.
	serviceAccount unique.Handle[string]
}

// stripService makes the transformation of Services, which also decides whether they can be published.
func stripService(clusterDomain string) cache.TransformFunc {
	return informer.Stripping(func(object *corev1.Service) (any, error) {
		candidate, err := publicservices.NewCandidate(object, clusterDomain)
		if err != nil {
			return nil, err
		}
		stripped := &service{metaOf(object), candidate}
		candidate.Namespace, candidate.Name = stripped.objectMeta.Namespace, stripped.objectMeta.Name
		return stripped, nil
	})
}

// stripEndpointSlice leaves the names of the Pods behind a Service. Peers do not
// learn readiness and addresses, which change far more often.
var stripEndpointSlice = informer.Stripping(func(object *discoveryv1.EndpointSlice) (any, error) {
	stripped := &endpointSlice{objectMeta: metaOf(object)}
	stripped.service = types.NamespacedName{Namespace: stripped.Namespace, Name: object.Labels[discoveryv1.LabelServiceName]}
	if strings.HasPrefix(stripped.Name, stripped.service.Name) {
		stripped.service.Name = stripped.Name[:len(stripped.service.Name)] // Kubernetes names a slice after its Service: one copy of it is enough
	}
	for _, endpoint := range object.Endpoints {
		if endpoint.TargetRef != nil && endpoint.TargetRef.Kind == "Pod" {
			stripped.pods = append(stripped.pods, endpoint.TargetRef.Name)
		} else {
			stripped.foreign = true
		}
	}
	slices.Sort(stripped.pods)
	stripped.pods = slices.Clip(slices.Compact(stripped.pods))
	return stripped, nil
})

var stripPod = informer.Stripping(func(object *corev1.Pod) (any, error) {
	account := object.Spec.ServiceAccountName
	if account == "" {
		account = "default"
	}
	return &meshPod{objectMeta: metaOf(object), serviceAccount: unique.Make(object.Namespace + "/" + account)}, nil
})
