// Package egress is the API server's way into the cluster's network. An API
// server calls admission webhooks and proxies to Pods at the addresses that
// the API shows, which nothing listens on here; told to send such connections
// through an HTTP CONNECT proxy (its egress selector "cluster"), it reaches the
// Pods' real addresses. The names that it verifies certificates with stay those
// of the Services, so that a wrong certificate or CA bundle fails as in a cluster.
package egress

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/podnet"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/tunnel"
)

// dialTimeout for a Pod; everything is on one machine.
const dialTimeout = 2 * time.Second

// Proxy connects the API server to Pods, and to nothing else.
type Proxy struct {
	listener net.Listener
	network  *podnet.Network
	identity identity
}

// Listen opens the proxy; Serve serves it.
func Listen(address netip.AddrPort, network *podnet.Network) (*Proxy, error) {
	listener, err := net.Listen("tcp", address.String())
	if err != nil {
		return nil, fmt.Errorf("open the proxy between API server and Pods: %w", err)
	}
	identity, err := newIdentity(address.Addr())
	if err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("make the certificates of the proxy between API server and Pods: %w", err)
	}
	return &Proxy{listener: listener, network: network, identity: identity}, nil
}

// Address that the proxy listens on.
func (p *Proxy) Address() netip.AddrPort {
	return netip.MustParseAddrPort(p.listener.Addr().String())
}

// Serve until the context ends, which also ends every connection.
func (p *Proxy) Serve(ctx context.Context) error {
	configuration, err := p.identity.serverConfig()
	if err != nil {
		return err
	}
	server := tunnel.Server{Usage: "only CONNECT <Pod address>:<port>", Dial: p.dial}
	if err := server.Serve(ctx, tls.NewListener(p.listener, configuration)); err != nil {
		return fmt.Errorf("serve the proxy between API server and Pods: %w", err)
	}
	return nil
}

// dial the Pod whose status shows the address.
func (p *Proxy) dial(ctx context.Context, target string) (net.Conn, error) {
	shown, err := netip.ParseAddrPort(target)
	if err != nil {
		return nil, fmt.Errorf("%q is not the address of a Pod: the lab connects its API servers to Pods only", target)
	}
	real, err := p.network.Real(shown.Addr())
	if err != nil {
		return nil, fmt.Errorf("%s is not the address of a Pod: %w", target, err)
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	connection, err := dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(real, shown.Port()).String())
	if err != nil {
		return nil, fmt.Errorf("the Pod at %s does not accept the connection: %w", target, err)
	}
	return connection, nil
}
