package watcher

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/deckhouse-mesh/istio/lib/peer"
)

// connection is what decides how a peer is polled: a change of it starts over.
type connection struct {
	target peer.Target
	// clusterUUID of the peer, the audience of tokens for it; empty until the
	// discovery hook has learned it.
	clusterUUID string
}

// resource is what is kept of a resource: what the watcher needs, and the
// version by which an informer tells an update from a repetition. The whole of
// it can be megabytes, of a peer's published services.
type resource struct {
	name, version string
	connection    connection
	// blamesPeer is true while the resource is not Ready because of how the peer answered.
	blamesPeer bool
}

var _ metav1.ObjectMetaAccessor = (*resource)(nil)

// GetObjectMeta implements metav1.ObjectMetaAccessor.
func (r *resource) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Name: r.name, ResourceVersion: r.version}
}

// readResource takes from a resource what the watcher needs. A status
// that is not as it should be reads as one that says nothing.
func readResource(object *unstructured.Unstructured) metav1.ObjectMetaAccessor {
	text := func(fields ...string) string {
		value, _, _ := unstructured.NestedString(object.Object, fields...)
		return value
	}
	insecure, _, _ := unstructured.NestedBool(object.Object, "spec", "metadata", "insecureSkipVerify")
	return &resource{
		name: object.GetName(), version: object.GetResourceVersion(),
		connection: connection{
			target: peer.Target{
				URL:                text("spec", "metadataEndpoint"),
				CA:                 text("spec", "metadata", "ca"),
				InsecureSkipVerify: insecure,
			},
			clusterUUID: text("status", "metadataCache", "public", "clusterUUID"),
		},
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
