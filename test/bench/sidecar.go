package main

import (
	"context"
	"time"

	"google.golang.org/grpc"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
	"github.com/deckhouse-mesh/istio/test/mesh"
)

// plaintextXDS is istiod's port for proxies that prove nothing.
const plaintextXDS = "15010"

// sidecar is one more proxy of the client's Pod, as far as istiod knows: what
// it is sent, and when, Envoy does not say.
type sidecar struct {
	client     *mesh.Client
	connection *grpc.ClientConn
	stop       func()
}

func startSidecar(ctx context.Context, c *cluster) (*sidecar, error) {
	istiod, err := c.find(ctx, istiodComponent())
	if err != nil {
		return nil, err
	}
	client, err := c.find(ctx, component{demoNamespace, "app=client", "client"})
	if err != nil {
		return nil, err
	}
	address, stop, err := istiod.forward(ctx, plaintextXDS)
	if err != nil {
		return nil, err
	}
	s := &sidecar{stop: stop}
	if s.connection, err = mesh.DialPlaintext(address); err != nil {
		stop()
		return nil, err
	}
	s.client, err = mesh.Connect(s.connection, mesh.Proxy{
		IP: client.pod.Status.PodIP, Pod: client.pod.Name, Namespace: demoNamespace, ServiceAccount: client.pod.Spec.ServiceAccountName,
		Labels: client.pod.Labels, ClusterDomain: c.ClusterDomain, ClusterID: c.ClusterUUID, Version: istioversion.Default().Full(),
		Metadata: map[string]any{"DNS_CAPTURE": "true"},
	})
	if err != nil {
		_ = s.connection.Close()
		stop()
		return nil, err
	}
	return s, nil
}

func (s *sidecar) close() {
	s.client.Close()
	_ = s.connection.Close()
	s.stop()
}

// awaitRoute waits until the proxy could send requests to the host.
func (s *sidecar) awaitRoute(ctx context.Context, host string) (time.Time, error) {
	_, err := s.client.Await(ctx, func(view *mesh.View) string { return route(view, host) })
	return time.Now(), err
}

// awaitNoRoute waits until it could not.
func (s *sidecar) awaitNoRoute(ctx context.Context, host string) error {
	ctx, cancel := context.WithTimeout(ctx, hopTimeout)
	defer cancel()
	_, err := s.client.Await(ctx, func(view *mesh.View) string {
		if view.Clusters[mesh.Outbound(demoPort, "", host)] != nil {
			return "the sidecar still has a cluster for " + host
		}
		return ""
	})
	return err
}
