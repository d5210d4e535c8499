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

	"github.com/deckhouse-mesh/istio/lib/publicservices"
)

// identity is what an informer must know of an object it keeps: its name, and
// its version to tell an update from a repetition. A whole ObjectMeta has 248
// bytes even when it is empty.
type identity struct {
	types.NamespacedName

	version string
}

var _ metav1.ObjectMetaAccessor = identity{}

// GetObjectMeta implements metav1.ObjectMetaAccessor.
func (i identity) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Namespace: i.Namespace, Name: i.Name, ResourceVersion: i.version}
}

func identityOf(object metav1.Object) identity {
	return identity{
		NamespacedName: types.NamespacedName{Namespace: unique.Make(object.GetNamespace()).Value(), Name: object.GetName()},
		version:        object.GetResourceVersion(),
	}
}

// service is what is kept of a Service.
type service struct {
	identity
	*publicservices.Candidate
}

// endpointSlice is what is kept of an EndpointSlice.
type endpointSlice struct {
	identity

	service types.NamespacedName
	// pods are the names of the Pods it points to, sorted.
	pods []string
	// foreign is true when it points to something else, too.
	foreign bool
}

// meshPod is what is kept of a Pod.
type meshPod struct {
	identity

	// serviceAccount is "<namespace>/<name>", the same few for thousands of Pods.
	serviceAccount unique.Handle[string]
}

// stripService makes the transformation of Services, which judges them.
func stripService(clusterDomain string) cache.TransformFunc {
	return stripping(func(object *corev1.Service) (any, error) {
		candidate, err := publicservices.NewCandidate(object, clusterDomain)
		if err != nil {
			return nil, err
		}
		kept := &service{identityOf(object), candidate}
		candidate.Namespace, candidate.Name = kept.identity.Namespace, kept.identity.Name
		return kept, nil
	})
}

// stripEndpointSlice keeps what says who is behind a Service. Readiness and
// addresses, which change far more often, are no business of neighbours.
var stripEndpointSlice = stripping(func(object *discoveryv1.EndpointSlice) (any, error) {
	kept := &endpointSlice{identity: identityOf(object)}
	kept.service = types.NamespacedName{Namespace: kept.Namespace, Name: object.Labels[discoveryv1.LabelServiceName]}
	if strings.HasPrefix(kept.Name, kept.service.Name) {
		kept.service.Name = kept.Name[:len(kept.service.Name)] // Kubernetes names a slice after its Service: one copy of it is enough
	}
	for _, endpoint := range object.Endpoints {
		if endpoint.TargetRef != nil && endpoint.TargetRef.Kind == "Pod" {
			kept.pods = append(kept.pods, endpoint.TargetRef.Name)
		} else {
			kept.foreign = true
		}
	}
	slices.Sort(kept.pods)
	kept.pods = slices.Clip(slices.Compact(kept.pods))
	return kept, nil
})

var stripPod = stripping(func(object *corev1.Pod) (any, error) {
	account := object.Spec.ServiceAccountName
	if account == "" {
		account = "default"
	}
	return &meshPod{identity: identityOf(object), serviceAccount: unique.Make(object.Namespace + "/" + account)}, nil
})

// stripWhole keeps the object but for what nobody reads.
func stripWhole(object any) (any, error) {
	if object, ok := object.(metav1.Object); ok {
		object.SetManagedFields(nil)
		object.SetAnnotations(nil)
	}
	return object, nil
}

// stripping makes a transformation, which informers may apply to its own results, too.
func stripping[T any](strip func(T) (any, error)) cache.TransformFunc {
	return func(object any) (any, error) {
		if whole, ok := object.(T); ok {
			return strip(whole)
		}
		return object, nil
	}
}
