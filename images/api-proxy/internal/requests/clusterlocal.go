package requests

import (
	"strings"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

// clusterLocal are the resources of Services. Kubernetes copies the labels of a
// Service to its EndpointSlices.
var clusterLocal = map[string]bool{"services": true, "endpointslices.discovery.k8s.io": true}

// leaveOutClusterLocal narrows lists and watches to what a person has not kept
// out of the mesh. The API server does the sorting out: a Service that gets the
// label while a watch goes on is deleted, as far as the watcher can see.
func leaveOutClusterLocal(request Request) {
	if (request.Verb != List && request.Verb != Watch) || !clusterLocal[request.Label()] {
		return
	}
	terms := []string{"!" + v1alpha1.ClusterLocalLabel}
	if asked := request.Query.Get("labelSelector"); asked != "" {
		terms = append(terms, asked)
	}
	request.Query.Set("labelSelector", strings.Join(terms, ","))
}
