package watcher

import (
	"context"

	"github.com/deckhouse-mesh/istio/lib/peer"
	"github.com/deckhouse-mesh/istio/lib/tlsfiles"
)

// Presenter is a Fetcher that shows peers this cluster's client certificate,
// the one that is in its files at the time.
type Presenter struct {
	Client *peer.Client
	// Certificate may be missing: then the token alone speaks for this cluster.
	Certificate *tlsfiles.Certificate
}

// Get is peer.Client.Get.
func (p Presenter) Get(ctx context.Context, target peer.Target, request peer.Request) (*peer.Response, error) {
	p.Client.Present(p.Certificate.Current())
	return p.Client.Get(ctx, target, request)
}
