package install

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/poll"
)

const (
	// joinTimeout bounds the wait until two clusters know each other; one round of
	// the module's one-minute schedule has room in it twice.
	joinTimeout = 3 * time.Minute
	// usualJoin is how long two clusters take to learn each other's keys.
	usualJoin = 10 * time.Second
)

// Peer is a cluster to join.
type Peer struct {
	// Name of the resource that joins it.
	Name string
	// TrustDomain is that of a federation peer.
	TrustDomain      string
	MetadataEndpoint string
	// Authority, PEM, issued the endpoint's certificate; empty for one that everybody knows.
	Authority []byte
}

// resource that joins clusters in that way.
func (k Kind) resource() (kind string, resource schema.GroupVersionResource) {
	if k == Federation {
		return "IstioFederation", kube.IstioFederations
	}
	return "IstioMulticluster", kube.IstioMulticlusters
}

// Join applies the resource that joins the peer. The operator has installed its CRD.
func (c *Cluster) Join(ctx context.Context, kind Kind, peer Peer) error {
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
		return fmt.Errorf("join %s: %w", peer.Name, err)
	}
	return nil
}

// AwaitJoined waits until the cluster says that it and the peer work together.
func (c *Cluster) AwaitJoined(ctx context.Context, kind Kind, peer string, note Note) error {
	name, resource := kind.resource()
	begun := time.Now()
	err := poll.Until(ctx, joinTimeout, func(ctx context.Context) (bool, string, error) {
		object, err := c.Clients.Dynamic.Resource(resource).Get(ctx, peer, metav1.GetOptions{})
		if err != nil {
			return poll.NotYet(err)
		}
		ready, why := isJoined(object)
		// At first each side is a stranger to the other; that is no news.
		if !ready && time.Since(begun) > usualJoin {
			note(why)
		}
		return ready, why, nil
	})
	if err != nil {
		return fmt.Errorf("wait for %s %s: %w", name, peer, err)
	}
	return nil
}

// isJoined reads the resource's Ready condition; why is its reason and message.
func isJoined(object *unstructured.Unstructured) (ready bool, why string) {
	condition, found := kube.Condition(object, "Ready")
	if !found {
		return false, "the resource has no condition yet"
	}
	why = kube.String(condition, "reason") + ": " + kube.String(condition, "message")
	return kube.String(condition, "status") == "True", why
}
