package report

import (
	"context"
	"maps"
	"net/http"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
)

// Multicluster is what the cluster reports of one peer in the same mesh.
type Multicluster struct {
	Peer
	NetworkName string `json:"networkName,omitempty"`
}

// askMulticlusters asks the API server about the clusters of the same mesh, and every istiod whether it has read them.
func (c *Cluster) askMulticlusters(ctx context.Context, clients *kube.Clients) []Check {
	list, err := clients.Dynamic.Resource(kube.IstioMulticlusters).List(ctx, metav1.ListOptions{})
	if err != nil {
		return []Check{{
			Name: "the module's resources are installed", Message: err.Error(),
			Hint: "is module istio enabled? the operator's log says what it waits for",
		}}
	}
	istiods, err := reachIstiods(ctx, clients)
	if err != nil {
		return []Check{{Name: "istiod can be asked", Message: err.Error(), Hint: "kubectl --kubeconfig " + c.Kubeconfig + " -n d8-istio get pods"}}
	}
	client := &http.Client{Timeout: requestTimeout}
	defer client.CloseIdleConnections()
	var checks []Check
	for i := range list.Items {
		multicluster := newMulticluster(&list.Items[i])
		c.Multiclusters = append(c.Multiclusters, multicluster)
		checks = append(checks, c.peerCheck(multicluster.Peer, multicluster.Name+" is part of the mesh", "istiomulticluster"))
		for _, revision := range slices.Sorted(maps.Keys(istiods)) {
			status, err := remoteCluster(ctx, client, istiods[revision], multicluster.Name)
			checks = append(checks, readCheck(revision, multicluster.Name, status, err))
		}
	}
	return checks
}

func newMulticluster(resource *unstructured.Unstructured) Multicluster {
	multicluster := Multicluster{Peer: newPeer(resource)}
	multicluster.NetworkName, _, _ = unstructured.NestedString(resource.Object, "status", "metadataCache", "private", "networkName")
	return multicluster
}

// readCheck reports whether istiod has read the remote cluster; status and err are what it said.
func readCheck(revision, name, status string, err error) Check {
	check := Check{Name: istiodPrefix + revision + " reads " + name, OK: err == nil && status == synced}
	switch {
	case check.OK:
		return check
	case err != nil:
		check.Message = err.Error()
	case status == "":
		check.Message = "it does not know the cluster"
	default:
		check.Message = "it says that the cluster is " + status
	}
	check.Hint = "is there a Secret d8-istio/istio-remote-secret-" + name + "? The logs of this istiod and of the peer's api-proxy say what was rejected"
	return check
}
