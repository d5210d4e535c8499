package discovery_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/statuspatch"
)

// BenchmarkOneMoreService is what one more service costs besides
// fetching the document: the document is read and judged, the status written and read.
func BenchmarkOneMoreService(b *testing.B) {
	for _, services := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprint(services, " services"), func(b *testing.B) {
			w := newWorld(b)
			resource := w.poll(w.addPeer("b", manyHostnames(services, func(index int) string { return fmt.Sprintf("api-%d.shop", index) })...))[0]
			peer := w.peerOf(resource)
			published := peer.private.(metadata.Federation)
			b.ReportAllocs()
			turn := 0
			for b.Loop() {
				turn++
				b.StopTimer()
				published.PublicServices = append(published.PublicServices, metadata.PublicService{
					Hostname: fmt.Sprintf("new-%d.shop.svc.cluster-b.local", turn), Ports: []metadata.ServicePort{{Name: "http", Port: 80, Protocol: "HTTP"}},
				})
				body, err := json.Marshal(published)
				if err != nil {
					b.Fatal(err)
				}
				peer.private = body
				b.StartTimer()
				before := w.encoded(resource)
				next := w.poll(resource)[0]
				after := w.encoded(next)
				if _, err := statuspatch.Diff("/status", before, after, "publicServices", "publicServicesBlocks"); err != nil {
					b.Fatal(err)
				}
				resource = next
			}
		})
	}
}
