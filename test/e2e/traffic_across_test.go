//go:build e2e

package e2e

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
)

// matchesAcross: rules of the caller's cluster choose between two Services of the peer.
func matchesAcross(t *testing.T, f *traffic) {
	t.Helper()
	t.Parallel()
	host := f.Here.rowService(t, "chosen", 0, true)
	f.Here.awaitPublished(t, f.There, "chosen")
	f.awaitManaged(t, managed{
		rules: matchedTo("destination: {host: "+f.Here.Host("guarded")+"}", toHost), holds: matchedRoutes("api-v", "guarded"),
	}, f.There, host)
}

// mirroring: each request is answered by one Pod, or one Service of a peer, and another gets a copy.
func mirroring(t *testing.T, f *traffic) {
	t.Helper()
	t.Parallel()
	var received sync.Map // Pod and path
	for _, pod := range []string{"api-v1", "api-v2"} {
		f.Here.Pod(pod).serveHTTP(t, mirroredPort, func(_ http.ResponseWriter, r *http.Request) { received.Store(pod+r.URL.Path, true) })
	}
	// copied has a request answered, and says what is missing until one of the Pods has its copy.
	copied := func(to ...string) func(c *insider, host string) string {
		return func(c *insider, host string) string {
			path := "/" + rand.String(10)
			if missing := c.statuses(host, map[string]int{path: http.StatusOK}); missing != "" {
				return missing
			}
			return unless(slices.ContainsFunc(to, func(pod string) bool {
				_, found := received.Load(pod + path)
				return found
			}), "%s has not received %s", to, path)
		}
	}
	mirror := func(route, to string) string {
		return virtualService("  - route: [{" + route + "}]\n    mirror: {" + to + "}\n    mirrorPercentage: {value: 100}")
	}
	t.Run("in the cluster", func(t *testing.T) {
		t.Parallel()
		row := managed{rules: destinationRule("") + "---\n" + mirror(subset("v1"), "host: $HOST, subset: v2"), holds: copied("api-v2")}
		f.awaitManaged(t, row, f.Here, f.Here.rowService(t, "mirroring", mirroredPort, false))
	})
	t.Run("to a peer", func(t *testing.T) {
		t.Parallel()
		host, copies := f.Here.rowService(t, "peers-mirroring", 0, true), f.Here.rowService(t, "peers-copies", mirroredPort, true)
		f.Here.awaitPublished(t, f.There, "peers-mirroring")
		f.Here.awaitPublished(t, f.There, "peers-copies")
		f.awaitManaged(t, managed{rules: mirror(toHost, "host: "+copies), holds: copied("api-v1", "api-v2")}, f.There, host)
	})
}

// weightsAcross: a VirtualService of the peer shares the requests for its own name out between its own Pods and ours.
func weightsAcross(t *testing.T, f *traffic) {
	t.Helper()
	t.Parallel()
	host := f.There.serveAs(t, "across", "auditor", false)
	t.Cleanup(func() {
		_ = f.There.typed.CoreV1().Services(f.There.Shop).Delete(context.Background(), "across", metav1.DeleteOptions{})
	})
	row := managed{
		rules: virtualService("  - route: [{" + toHost + ", weight: 50}, {destination: {host: " + f.Here.Host("api") + "}, weight: 50}]"),
		holds: func(c *insider, host string) string {
			got := c.pods(60, host)
			return unless(got["auditor"] > 0 && got["auditor"] < 60 && got["auditor"]+got["api-v1"]+got["api-v2"] == 60, "of 60: %v", got)
		},
	}
	f.awaitManaged(t, row, f.There, host)
}
