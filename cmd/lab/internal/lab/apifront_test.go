package lab

import (
	"context"
	"net/netip"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/labtest"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/podnet"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/serviceproxy"
)

func TestTheAddressOfTheAPIProxyLeadsWhereItsNameDoes(t *testing.T) {
	slice := func(service serviceproxy.Service, address string) runtime.Object {
		return &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Namespace: service.Namespace, Name: service.Name, Labels: map[string]string{discoveryv1.LabelServiceName: service.Name}},
			Ports:      []discoveryv1.EndpointPort{{Name: &service.Port, Port: new(int32(8443))}},
			Endpoints:  []discoveryv1.Endpoint{{Addresses: []string{address}}},
		}
	}
	ingress := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: moduleNamespace, Name: apiProxy}}
	client := fake.NewClientset(slice(ingressController, "10.100.0.10"), slice(apiProxyService, "10.100.0.11"), ingress)
	listening, err := serviceproxy.Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listening.Close() })
	front := newAPIFront(listening)
	network := podnet.New(netip.MustParsePrefix("10.100.0.0/16"), func(host byte) netip.Addr { return netip.AddrFrom4([4]byte{127, 7, 8, host}) })
	labtest.Run(t, func(ctx context.Context) error { return front.follow(ctx, client, network) })
	labtest.AwaitWatches(t, client, "endpointslices", "ingresses")

	await := func(what, want string) {
		t.Helper()
		var got []netip.AddrPort
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			if got = front.Backends(); len(got) == 1 && got[0].String() == want {
				return
			}
		}
		t.Fatalf("%s: the backends are %v, want %s", what, got, want)
	}
	await("TLS ends at the ingress controller", "127.7.8.10:8443")
	passed := ingress.DeepCopy()
	passed.Annotations = map[string]string{"nginx.ingress.kubernetes.io/ssl-passthrough": "true"}
	for _, change := range []struct {
		what    string
		ingress *networkingv1.Ingress
		want    string
	}{{"TLS is passed through", passed, "127.7.8.11:8443"}, {"TLS ends at the controller again", ingress, "127.7.8.10:8443"}} {
		if _, err := client.NetworkingV1().Ingresses(moduleNamespace).Update(t.Context(), change.ingress, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		await(change.what, change.want)
	}
}
