package watcher

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/peer"
)

// connection is what decides how a peer is polled: a change of it starts over.
type connection struct {
	target peer.Target
	// clusterUUID of the peer, the audience of tokens for it; empty until the
	// discovery hook has learned it.
	clusterUUID string
}

// standing is what the resource says of the discovery hook's work.
type standing struct {
	// annotation is the value of v1alpha1.PokeAnnotation.
	annotation string
	// blamesPeer is true while the resource is not Ready because of how the peer answered.
	blamesPeer bool
}

// readResource takes from a resource what the watcher needs. A status
// that is not as it should be reads as one that says nothing.
func readResource(object *unstructured.Unstructured) (connection, standing) {
	text := func(fields ...string) string {
		value, _, _ := unstructured.NestedString(object.Object, fields...)
		return value
	}
	insecure, _, _ := unstructured.NestedBool(object.Object, "spec", "metadata", "insecureSkipVerify")
	return connection{
			target: peer.Target{
				URL:                text("spec", "metadataEndpoint"),
				CA:                 text("spec", "metadata", "ca"),
				InsecureSkipVerify: insecure,
			},
			clusterUUID: text("status", "metadataCache", "public", "clusterUUID"),
		}, standing{
			annotation: object.GetAnnotations()[v1alpha1.PokeAnnotation],
			blamesPeer: blamesPeer(object),
		}
}

// blamesPeer looks for a condition Ready that is not True for one of the
// reasons of package peer, all of which begin with "Peer".
func blamesPeer(object *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, each := range conditions {
		condition, _ := each.(map[string]any)
		if condition["type"] == "Ready" {
			reason, _ := condition["reason"].(string)
			return condition["status"] != string(metav1.ConditionTrue) && strings.HasPrefix(reason, "Peer")
		}
	}
	return false
}

// strip drops from the informer's cache what readResource does not read; a
// peer's published services can be megabytes.
func strip(object any) (any, error) {
	resource, ok := object.(*unstructured.Unstructured)
	if !ok {
		return object, nil
	}
	resource.SetManagedFields(nil)
	unstructured.RemoveNestedField(resource.Object, "status", "metadataCache", "private")
	unstructured.RemoveNestedField(resource.Object, "status", "rejectedServices")
	return resource, nil
}
