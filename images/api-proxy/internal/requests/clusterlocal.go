package requests

import (
	"strings"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

// clusterLocal are the resources of Services. Kubernetes copies the labels of a
// Service to its EndpointSlices.
var clusterLocal = map[string]bool{"services": true, "endpointslices.discovery.k8s.io": true}

// leaveOutClusterLocal narrows lists and watches to the Services that are not
// labelled as local to the cluster. The API server filters: a Service that gets the
// label during a watch looks deleted to the watcher.
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
