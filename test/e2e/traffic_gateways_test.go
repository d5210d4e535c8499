//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// forwarder is a port of the fabric that leads to a cluster's gateway, as a firewall's would.
type forwarder struct {
	net.Listener
	connections atomic.Int64
}

func forwardTo(t *testing.T, address string) *forwarder {
	t.Helper()
	f := &forwarder{Listener: listenInFabric(t)}
	t.Cleanup(func() { _ = f.Close() })
	go func() {
		for {
			from, err := f.Accept()
			if err != nil {
				return
			}
			f.connections.Add(1)
			go func() {
				defer func() { _ = from.Close() }()
				to, err := net.Dial("tcp", address)
				if err != nil {
					return
				}
				defer func() { _ = to.Close() }()
				go func() { _, _ = io.Copy(to, from) }()
				_, _ = io.Copy(from, to)
			}()
		}
	}()
	return f
}

func (f *forwarder) port() int64 { return int64(f.Addr().(*net.TCPAddr).Port) }

// TestTrafficFindsThePeersGateway by every kind of address that it may have; load balancers are what all other tests use.
func TestTrafficFindsThePeersGateway(t *testing.T) {
	f := trafficOf(t)
	byName, byAddress := forwardTo(t, f.Here.gatewayAddress(t)), forwardTo(t, f.Here.gatewayAddress(t))
	ip := byAddress.Addr().(*net.TCPAddr).IP.String()
	node := f.Here.described(t).Nodes[0].Address
	usual, _, err := net.SplitHostPort(f.Here.gatewayAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	entry := "api." + f.Here.Shop + "." + f.Here.name
	t.Cleanup(func() {
		eventually(t, scheduled, "the peer knows the usual address again", func() string { return f.There.leadsTo(entry, []any{usual}) })
		f.Here.awaitPublished(t, f.There, "api")
	})
	for _, row := range []struct {
		name     string
		settings map[string]any
		// addresses of the gateway as the peer knows them.
		addresses []any
		// through is how many of the forwarders are used.
		through []*forwarder
	}{
		{"a name in DNS and an address", map[string]any{"advertise": []any{
			map[string]any{"address": "gateway.host.lab", "port": byName.port()}, map[string]any{"address": ip, "port": byAddress.port()},
		}}, []any{ip, "gateway.host.lab"}, []*forwarder{byName, byAddress}},
		{"a port of the nodes", map[string]any{"inlet": "NodePort"}, []any{node}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			f.Here.reconfigure(t, map[string]any{"alliance": map[string]any{"ingressGateway": row.settings}})
			eventually(t, scheduled, "the peer knows the addresses", func() string { return f.There.leadsTo(entry, row.addresses) })
			eventually(t, scheduled, "the peer's clients are answered", func() string {
				got := f.There.Pod("client").oneByOne(10, f.Here.Host("api"), "/")
				if got[http.StatusOK] != 10 {
					return fmt.Sprintf("of 10: %v", got)
				}
				for _, one := range row.through {
					if one.connections.Load() == 0 {
						// Connections are balanced over the addresses: one more is needed, by another client.
						_, _ = f.There.Pod("auditor").get("http://" + f.Here.Host("api") + "/")
						_, _ = f.There.Pod("distant").get("http://" + f.Here.Host("api") + "/")
						return "an address is not used"
					}
				}
				return ""
			})
			if len(row.through) == 2 {
				_ = byAddress.Close()
				for _, pod := range []string{"client", "auditor", "distant"} {
					for range 10 {
						got, err := f.There.Pod(pod).send(request{url: "http://" + f.Here.Host("api") + "/", timeout: stallTimeout})
						if err != nil || got.status != http.StatusOK {
							t.Errorf("with one address of two that answers, a request of %s: %s (%v)", pod, got, err)
						}
					}
				}
			}
		})
	}
}

// leadsTo says how the ServiceEntry does not lead to these addresses.
func (s *side) leadsTo(entry string, addresses []any) (missing string) {
	found, err := s.dynamic.Resource(serviceEntries).Namespace(moduleNamespace).Get(context.Background(), entry, metav1.GetOptions{})
	if err != nil {
		return err.Error()
	}
	endpoints, _, _ := unstructured.NestedSlice(found.Object, "spec", "endpoints")
	var known []any
	for _, endpoint := range endpoints {
		fields, _ := endpoint.(map[string]any)
		known = append(known, fields["address"])
	}
	return want(known, nil)(addresses)
}
