package lab

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/istiod"
)

// readTimeout bounds the wait until istiod has read a neighbour: an istiod may
// have to be restarted for it, or wait before it tries again.
const readTimeout = 3 * time.Minute

// awaitRead waits until every istiod of the cluster has read the peer's Services and Pods.
func (c *cluster) awaitRead(ctx context.Context, peer *cluster) error {
	err := c.reporter.Step(c.plan.name, "istiod reads "+peer.plan.name, c.istiodLog(), func(func(string)) error {
		client := &http.Client{Timeout: 5 * time.Second}
		defer client.CloseIdleConnections()
		return poll(ctx, readTimeout, func(ctx context.Context) (bool, string, error) {
			addresses := c.istiodAddresses()
			for _, revision := range slices.Sorted(maps.Keys(addresses)) {
				status, err := istiod.RemoteCluster(ctx, client, addresses[revision].Debug, peer.plan.name)
				if err != nil {
					return notYet(err)
				}
				if status != istiod.Synced {
					return false, fmt.Sprintf("istiod %s says that %s is %q", revision, peer.plan.name, status), nil
				}
			}
			return len(addresses) > 0, "no istiod is installed", nil
		})
	})
	return withLog(err, c.istiodLog())
}
