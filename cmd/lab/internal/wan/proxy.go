package wan

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/tunnel"
)

const (
	// httpsPort is the only one at which public names are known.
	httpsPort = "443"
	// dialTimeout for a cluster; everything is on one machine.
	dialTimeout = 2 * time.Second
)

// Proxy is the way by which a cluster's programs reach public names: they are
// given its address in HTTPS_PROXY. Go's HTTP clients then ask it for names, and
// call loopback addresses directly.
type Proxy struct {
	listener net.Listener
	names    *Names
	link     *Link
}

// Listen opens the proxy of the cluster at the end of the link; Serve serves it.
func Listen(address netip.AddrPort, names *Names, link *Link) (*Proxy, error) {
	opened, err := net.Listen("tcp", address.String())
	if err != nil {
		return nil, fmt.Errorf("open the way to the other clusters: %w", err)
	}
	return &Proxy{listener: opened, names: names, link: link}, nil
}

// Environment is what a program needs in its environment to use the proxy.
func (p *Proxy) Environment() []string {
	return []string{"HTTPS_PROXY=http://" + p.listener.Addr().String()}
}

// Serve until the context ends, which also ends every connection.
func (p *Proxy) Serve(ctx context.Context) error {
	server := tunnel.Server{Usage: "only CONNECT <public name of a cluster>:" + httpsPort, Dial: p.dial}
	if err := server.Serve(ctx, listener{Listener: p.listener, ctx: ctx, link: p.link}); err != nil {
		return fmt.Errorf("serve the way to the other clusters: %w", err)
	}
	return nil
}

func (p *Proxy) dial(ctx context.Context, target string) (net.Conn, error) {
	name, port, err := net.SplitHostPort(target)
	if err != nil || port != httpsPort {
		return nil, fmt.Errorf("%q is not a public name at port %s: the lab's clusters have nothing else", target, httpsPort)
	}
	address, found := p.names.lookUp(name)
	if !found {
		return nil, fmt.Errorf("no cluster of the lab has the name %q", name)
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	dialled, err := dialer.DialContext(ctx, "tcp", address.String())
	if err != nil {
		return nil, fmt.Errorf("%s at %s does not accept the connection: %w", name, address, err)
	}
	return p.link.across(ctx, dialled), nil
}
