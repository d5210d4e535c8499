package report

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
)

// Peer is what the resources of both kinds report.
type Peer struct {
	Name    string `json:"name"`
	Ready   string `json:"ready"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// LastContact is when the peer's public metadata was last fetched, empty for never.
	LastContact string `json:"lastContact,omitempty"`
}

func newPeer(resource *unstructured.Unstructured) Peer {
	condition, _ := kube.Condition(resource, "Ready")
	peer := Peer{
		Name: resource.GetName(), Ready: "Unknown",
		Reason: kube.String(condition, "reason"), Message: kube.String(condition, "message"),
	}
	if status := kube.String(condition, "status"); status != "" {
		peer.Ready = status
	}
	peer.LastContact, _, _ = unstructured.NestedString(resource.Object, "status", "metadataCache", "publicLastFetchTimestamp")
	return peer
}

func (c *Cluster) peerCheck(peer Peer, name, resource string) Check {
	check := Check{Name: name, OK: peer.Ready == "True"}
	if !check.OK {
		check.Message = strings.Trim(peer.Reason+": "+peer.Message, ": ")
		if check.Message == "" {
			check.Message = "the module has not looked at it yet"
		}
		check.Hint = fmt.Sprintf("kubectl --kubeconfig %s describe %s %s", c.Kubeconfig, resource, peer.Name)
	}
	return check
}
