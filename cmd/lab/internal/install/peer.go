package install

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
	"github.com/deckhouse-mesh/istio/lib/await"
)

// peerTimeout bounds the wait until two clusters know each other: two rounds of
// the module's one-minute schedule fit into it.
const peerTimeout = 3 * time.Minute

// Peer is the other cluster.
type Peer struct {
	// Name of the resource for it.
	Name string
	// TrustDomain is that of a federation peer.
	TrustDomain      string
	MetadataEndpoint string
	// Authority, PEM, issued the endpoint's certificate; empty for a well-known one.
	Authority []byte
}

// resource that names a peer of this kind.
func (k Kind) resource() (kind string, resource schema.GroupVersionResource) {
	if k == Federation {
		return "IstioFederation", kube.IstioFederations
	}
	return "IstioMulticluster", kube.IstioMulticlusters
}

// AddPeer applies the resource that names the peer. The operator has installed its CRD.
func (c *Cluster) AddPeer(ctx context.Context, kind Kind, peer Peer) error {
	name, resource := kind.resource()
	spec := map[string]any{"metadataEndpoint": peer.MetadataEndpoint}
	if len(peer.Authority) > 0 {
		spec["metadata"] = map[string]any{"ca": string(peer.Authority)}
	}
	if kind == Federation {
		spec["trustDomain"] = peer.TrustDomain
	}
	err := c.Clients.Apply(ctx, resource, map[string]any{
		"apiVersion": resource.GroupVersion().String(), "kind": name,
		"metadata": map[string]any{"name": peer.Name}, "spec": spec,
	})
	if err != nil {
		return fmt.Errorf("add peer %s: %w", peer.Name, err)
	}
	return nil
}

// AwaitPeer waits until the cluster reports that the peer is ready.
func (c *Cluster) AwaitPeer(ctx context.Context, kind Kind, peer string, note Note) error {
	name, resource := kind.resource()
	err := await.Until(ctx, peerTimeout, func(ctx context.Context) (bool, string, error) {
		object, err := c.Clients.Dynamic.Resource(resource).Get(ctx, peer, metav1.GetOptions{})
		if err != nil {
			return await.NotYet(err)
		}
		ready, why := isReady(object)
		if !ready {
			note(why)
		}
		return ready, why, nil
	})
	if err != nil {
		return fmt.Errorf("wait for %s %s: %w", name, peer, err)
	}
	return nil
}

// isReady reads the resource's Ready condition; why is its reason and message.
func isReady(object *unstructured.Unstructured) (ready bool, why string) {
	condition, found := kube.Condition(object, "Ready")
	if !found {
		return false, "the resource has no condition yet"
	}
	why = kube.String(condition, "reason") + ": " + kube.String(condition, "message")
	return kube.String(condition, "status") == "True", why
}
