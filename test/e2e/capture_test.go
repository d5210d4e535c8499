//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/deckhouse-mesh/istio/test/mesh"
)

// TestAPeersTCPPortCapturesNobodyElsesConnections: Istio knows a ServiceEntry
// without an address by its port alone, and then sends every connection to that
// port of any unknown address to it: a peer that publishes 5432 would get this
// cluster's connections to every database outside. Sidecars with DNS capture,
// which the mesh configuration switches on, know it by an address that istiod makes up.
func TestAPeersTCPPortCapturesNobodyElsesConnections(t *testing.T) {
	awaitPeers(t)
	suite.a.awaitMesh(t, defaultIstio())
	namespace := suite.a.labelled(t, inMesh)
	pod := suite.a.run(t, newPod(namespace, "client", nil, nil))
	proxy := suite.a.proxyOf(t, pod, defaultIstio())
	proxy.Metadata = map[string]any{"DNS_CAPTURE": "true"}
	connection, err := mesh.DialPlaintext(suite.a.xds(t, defaultIstio()))
	if err != nil {
		t.Fatal(err)
	}
	sidecar, err := mesh.Connect(connection, proxy)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		sidecar.Close()
		_ = connection.Close()
	})

	peer := newFakePeer(t, "database.example")
	const port = 5433
	peer.private = altered(peer.private, func(d map[string]any) {
		d["publicServices"] = []any{map[string]any{
			"hostname": peer.hostname(), "ports": []any{map[string]any{"name": "postgres", "port": port, "protocol": "TCP"}},
		}}
	})
	suite.a.federate(t, peer.federation("database"))
	suite.a.awaitImported(t, peer.hostname(), scheduled)
	suffix := fmt.Sprintf("_%d", port)
	awaitView(t, sidecar, "the peer's port has a listener on an address of its own, and none on all addresses", func(view *mesh.View) string {
		var found []string
		for _, name := range slices.Sorted(maps.Keys(view.Listeners)) {
			if strings.HasSuffix(name, suffix) {
				found = append(found, name)
			}
		}
		if len(found) != 1 || !strings.HasPrefix(found[0], "240.240.") {
			return fmt.Sprintf("the listeners are %v", found)
		}
		return ""
	})
	awaitView(t, sidecar, "unknown connections go where they went before", func(view *mesh.View) string {
		return want(view.UnknownTCP())(mesh.Passthrough)
	})
}
