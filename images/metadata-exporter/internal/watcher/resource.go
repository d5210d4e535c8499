package watcher

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/deckhouse-mesh/istio/lib/informer"
	"github.com/deckhouse-mesh/istio/lib/peer"
)

// connection is how a peer is polled: a change of it starts over.
type connection struct {
	target peer.Target
	// clusterUUID of the peer, the audience of tokens for it; empty until the
	// discovery hook knows it.
	clusterUUID string
}

// resource is the cached part of a resource: what the watcher needs. A whole resource
// can have megabytes, the list of a peer's published services.
type resource struct {
	informer.Meta

	connection connection
	// blamesPeer is true while the resource is not Ready because of the peer's answer.
	blamesPeer bool
}

// readResource reads what the watcher needs of a resource. A status that has an
// unexpected form counts as empty.
func readResource(object *unstructured.Unstructured) (any, error) {
	text := func(fields ...string) string {
		value, _, _ := unstructured.NestedString(object.Object, fields...)
		return value
	}
	insecure, _, _ := unstructured.NestedBool(object.Object, "spec", "metadata", "insecureSkipVerify")
	return &resource{
		Meta: informer.MetaOf(object),
		connection: connection{
			target: peer.Target{
				URL:                text("spec", "metadataEndpoint"),
				CA:                 text("spec", "metadata", "ca"),
				InsecureSkipVerify: insecure,
			},
			clusterUUID: text("status", "metadataCache", "public", "clusterUUID"),
		},
		blamesPeer: blamesPeer(object),
	}, nil
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
