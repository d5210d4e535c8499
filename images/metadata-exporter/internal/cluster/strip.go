package cluster

import (
	"slices"
	"strings"
	"unique"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/deckhouse-mesh/istio/lib/informer"
	"github.com/deckhouse-mesh/istio/lib/publicservices"
)

// service is the cached part of a Service.
type service struct {
	informer.Meta
	*publicservices.Candidate
}

// endpointSlice is the cached part of an EndpointSlice.
type endpointSlice struct {
	informer.Meta

	service types.NamespacedName
	// pods are the names of the Pods it points to, sorted.
	pods []string
	// foreign is true when it points to something else besides Pods.
	foreign bool
}

// meshPod is the cached part of a Pod.
type meshPod struct {
	informer.Meta

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
		stripped := &service{informer.MetaOf(object), candidate}
		candidate.Namespace, candidate.Name = stripped.Meta.Namespace, stripped.Meta.Name
		return stripped, nil
	})
}

// stripEndpointSlice leaves the names of the Pods behind a Service. Peers do not
// learn readiness and addresses, which change far more often.
var stripEndpointSlice = informer.Stripping(func(object *discoveryv1.EndpointSlice) (any, error) {
	stripped := &endpointSlice{Meta: informer.MetaOf(object)}
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
	return &meshPod{Meta: informer.MetaOf(object), serviceAccount: unique.Make(object.Namespace + "/" + account)}, nil
})
