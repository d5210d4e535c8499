package serviceproxy

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/labtest"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/podnet"
)

func TestAFrontFollowsTheReadyEndpointsOfItsService(t *testing.T) {
	network := podnet.New(netip.MustParsePrefix("10.100.0.0/16"), func(host byte) netip.Addr {
		return netip.AddrFrom4([4]byte{127, 7, 8, host})
	})
	yes, no, port, name, other := true, false, int32(8443), "https", "metrics"
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: "d8-istio", Name: "exporter-1", Labels: map[string]string{discoveryv1.LabelServiceName: "exporter"}},
		Ports:      []discoveryv1.EndpointPort{{Name: &name, Port: &port}, {Name: &other, Port: new(int32)}},
		Endpoints: []discoveryv1.Endpoint{
			{Addresses: []string{"10.100.0.10"}, Conditions: discoveryv1.EndpointConditions{Ready: &yes}},
			{Addresses: []string{"10.100.0.11"}, Conditions: discoveryv1.EndpointConditions{Ready: &no}},
			{Addresses: []string{"10.100.0.12"}},
			{Addresses: []string{"192.0.2.1"}, Conditions: discoveryv1.EndpointConditions{Ready: &yes}},
		},
	}
	client := fake.NewClientset(slice)
	front := serve(t)
	labtest.Run(t, func(ctx context.Context) error {
		return Follow(ctx, client, Service{Namespace: "d8-istio", Name: "exporter", Port: "https"}, network, front.SetBackends)
	})
	labtest.AwaitWatches(t, client, "endpointslices")
	await(t, front, "127.7.8.10:8443", "127.7.8.12:8443")

	slice.Endpoints = slice.Endpoints[2:3]
	if _, err := client.DiscoveryV1().EndpointSlices("d8-istio").Update(t.Context(), slice, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, front, "127.7.8.12:8443")
	if err := client.DiscoveryV1().EndpointSlices("d8-istio").Delete(t.Context(), slice.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, front)
}

func await(t *testing.T, front *Front, want ...string) {
	t.Helper()
	var got []string
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		got = nil
		for _, backend := range front.Backends() {
			got = append(got, backend.String())
		}
		if slices.Sort(got); slices.Equal(got, want) {
			return
		}
	}
	t.Fatalf("backends %v, want %v", got, want)
}
