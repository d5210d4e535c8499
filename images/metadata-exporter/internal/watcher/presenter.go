package watcher

import (
	"context"

	"github.com/deckhouse-mesh/istio/lib/peer"
	"github.com/deckhouse-mesh/istio/lib/tlsfiles"
)

// Presenter is a Fetcher that presents this cluster's current client certificate to peers.
type Presenter struct {
	Client *peer.Client
	// Certificate may be missing: then the token alone proves this cluster.
	Certificate *tlsfiles.Certificate
}

// Get is peer.Client.Get.
func (p Presenter) Get(ctx context.Context, target peer.Target, request peer.Request) (*peer.Response, error) {
	p.Client.Present(p.Certificate.Current())
	return p.Client.Get(ctx, target, request)
}
