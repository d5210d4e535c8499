package cluster

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	discoveryinformers "k8s.io/client-go/informers/discovery/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

const (
	// byService indexes EndpointSlices by "<namespace>/<Service>", byPod by the Pods they point to.
	byService, byPod = "service", "pod"

	// inMesh selects the Pods that got a sidecar: Istio's injector labels them.
	// Others have no identity in the mesh, and reading them all would cost a big
	// cluster's memory.
	inMesh = "security.istio.io/tlsMode=istio"
)

// endpointSlice is what is kept of an EndpointSlice.
type endpointSlice struct {
	metav1.ObjectMeta

	service string
	// pods are the names of the Pods it points to, sorted.
	pods []string
	// foreign is true when it points to something else, too.
	foreign bool
}

// meshPod is what is kept of a Pod.
type meshPod struct {
	metav1.ObjectMeta

	serviceAccount string
}

// newEndpointSliceInformer watches the EndpointSlices of published Services:
// Kubernetes copies a Service's labels to them.
func newEndpointSliceInformer(client kubernetes.Interface) cache.SharedIndexInformer {
	return discoveryinformers.NewFilteredEndpointSliceInformer(client, metav1.NamespaceAll, 0, cache.Indexers{
		byService: func(object any) ([]string, error) {
			slice, ok := object.(*endpointSlice)
			if !ok {
				return nil, nil
			}
			return []string{slice.Namespace + "/" + slice.service}, nil
		},
		byPod: func(object any) ([]string, error) {
			slice, ok := object.(*endpointSlice)
			if !ok {
				return nil, nil
			}
			keys := make([]string, 0, len(slice.pods))
			for _, pod := range slice.pods {
				keys = append(keys, slice.Namespace+"/"+pod)
			}
			return keys, nil
		},
	}, func(options *metav1.ListOptions) { options.LabelSelector = v1alpha1.PublicServiceLabel })
}

func newPodInformer(client kubernetes.Interface) cache.SharedIndexInformer {
	return coreinformers.NewFilteredPodInformer(client, metav1.NamespaceAll, 0, cache.Indexers{},
		func(options *metav1.ListOptions) { options.LabelSelector = inMesh })
}

// stripEndpointSlice keeps what says who is behind a Service. Readiness and
// addresses, which change far more often, are no business of neighbours.
func stripEndpointSlice(slice *discoveryv1.EndpointSlice) *endpointSlice {
	kept := &endpointSlice{
		ObjectMeta: metav1.ObjectMeta{Name: slice.Name, Namespace: slice.Namespace, ResourceVersion: slice.ResourceVersion},
		service:    slice.Labels[discoveryv1.LabelServiceName],
	}
	for _, endpoint := range slice.Endpoints {
		if endpoint.TargetRef != nil && endpoint.TargetRef.Kind == "Pod" {
			kept.pods = append(kept.pods, endpoint.TargetRef.Name)
		} else {
			kept.foreign = true
		}
	}
	slices.Sort(kept.pods)
	kept.pods = slices.Compact(kept.pods)
	return kept
}

func stripPod(pod *corev1.Pod) *meshPod {
	account := pod.Spec.ServiceAccountName
	if account == "" {
		account = "default"
	}
	return &meshPod{
		ObjectMeta:     metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace, ResourceVersion: pod.ResourceVersion},
		serviceAccount: account,
	}
}

// sameEndpoints is true when an update of an EndpointSlice is nothing to act upon.
func sameEndpoints(before, after any) bool {
	old, ok := before.(*endpointSlice)
	if !ok {
		return false
	}
	now, ok := after.(*endpointSlice)
	return ok && old.service == now.service && old.foreign == now.foreign && slices.Equal(old.pods, now.pods)
}
