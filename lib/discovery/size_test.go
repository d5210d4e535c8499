package discovery_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/discovery"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/peer"
)

func manyHostnames(count int, name func(index int) string) []string {
	hostnames := make([]string, 0, count)
	for index := range count {
		hostnames = append(hostnames, name(index)+".svc.cluster-b.local")
	}
	return hostnames
}

func TestTenThousandServicesFit(t *testing.T) {
	w := newWorld(t)
	b := w.poll(w.addPeer("b", manyHostnames(10_000, func(index int) string { return fmt.Sprintf("api-%d.shop", index) })...))[0]
	w.wantCondition(b, v1alpha1.ConditionReady, metav1.ConditionTrue, discovery.ReasonJoined, "imported: 10000")
	encoded := w.encoded(b)
	if len(encoded) > 512<<10 {
		t.Errorf("the status has %d bytes", len(encoded))
	}
	stored := b
	stored.Status = v1alpha1.IstioFederationStatus{}
	if err := json.Unmarshal(encoded, &stored.Status); err != nil {
		t.Fatal(err)
	}
	w.codec.Unpack(&stored.Status.MetadataCache)
	again := w.poll(stored)[0]
	if !reflect.DeepEqual(again.Status.MetadataCache.Private, b.Status.MetadataCache.Private) {
		t.Error("after a round trip through the API server the services differ")
	}
}

func TestADocumentThatDoesNotFitIsRejectedWithTheReason(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, test := range map[string]struct {
		hostnames []string
		says      string
	}{
		"more services than are used": {manyHostnames(metadata.MaxServices+1, func(index int) string { return fmt.Sprintf("a-%d.b", index) }), "20001 services"},
		"names that cannot be compressed": {manyHostnames(metadata.MaxServices, func(int) string {
			labels := make([]byte, 60)
			for index := range labels {
				labels[index] = byte(random.Uint32())
			}
			return "a" + hex.EncodeToString(labels[:30]) + ".a" + hex.EncodeToString(labels[30:])
		}), "20000 services"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			before := w.poll(w.addPeer("b", "api.shop.svc.cluster-b.local"))[0]
			private := w.peerOf(before).private.(metadata.Federation)
			private.PublicServices = nil
			for _, hostname := range test.hostnames {
				private.PublicServices = append(private.PublicServices, metadata.PublicService{
					Hostname: hostname, Ports: []metadata.ServicePort{{Name: "http", Port: 80, Protocol: "HTTP"}}})
			}
			w.peerOf(before).private = private
			after := w.poll(before)[0]
			w.wantCondition(after, v1alpha1.ConditionReady, metav1.ConditionFalse, string(peer.TooLarge), test.says)
			if !reflect.DeepEqual(before.Status.MetadataCache.Private, after.Status.MetadataCache.Private) {
				t.Error("what was learned before did not stay")
			}
		})
	}
}

// TestServicesWhoseObjectsWouldFillTheClusterAreRejected: every list is within its bounds, and what they make together is not.
func TestServicesWhoseObjectsWouldFillTheClusterAreRejected(t *testing.T) {
	w := newWorld(t)
	before := w.poll(w.addPeer("b", "api.shop.svc.cluster-b.local"))[0]
	private := w.peerOf(before).private.(metadata.Federation)
	private.IngressGateways, private.PublicServices = nil, nil
	for index := range metadata.MaxIngressGateways {
		private.IngressGateways = append(private.IngressGateways, metadata.IngressGateway{Address: fmt.Sprintf("192.0.2.%d", index+1), Port: 15443})
	}
	var ports []metadata.ServicePort
	for number := range 128 {
		ports = append(ports, metadata.ServicePort{Name: fmt.Sprintf("p%d", number), Port: int32(number + 1), Protocol: "TCP"})
	}
	for _, hostname := range manyHostnames(500, func(index int) string { return fmt.Sprintf("a-%d.b", index) }) {
		private.PublicServices = append(private.PublicServices, metadata.PublicService{Hostname: hostname, Ports: ports})
	}
	w.peerOf(before).private = private
	after := w.poll(before)[0]
	w.wantCondition(after, v1alpha1.ConditionReady, metav1.ConditionFalse, string(peer.TooLarge), "2048000")
	if !reflect.DeepEqual(before.Status.MetadataCache.Private, after.Status.MetadataCache.Private) {
		t.Error("what was learned before did not stay")
	}
}
