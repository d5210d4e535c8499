// Package egress is the API server's way into the cluster's network. An API
// server calls admission webhooks and proxies to Pods at the addresses that
// the API shows, which nothing listens on here; told to send such connections
// through an HTTP CONNECT proxy (its egress selector "cluster"), it reaches the
// Pods' real addresses. The names that it verifies certificates with stay those
// of the Services, so that a wrong certificate or CA bundle fails as in a cluster.
package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/podnet"
)

const (
	// dialTimeout for a Pod; everything is on one machine.
	dialTimeout = 2 * time.Second
	// handshakeTimeout for a caller to say where it wants to go.
	handshakeTimeout = 10 * time.Second
)

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
	server := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.handle(ctx, w, r) }),
		TLSConfig:         configuration,
		ReadHeaderTimeout: handshakeTimeout,
		// What fails is told to the API server, which tells whoever asked it.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	// A CONNECT takes over its connection, which HTTP/2 does not have.
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err = server.ServeTLS(p.listener, "", ""); errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve the proxy between API server and Pods: %w", err)
}

func (p *Proxy) handle(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(w, "only CONNECT <Pod address>:<port>", http.StatusMethodNotAllowed)
		return
	}
	client, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer func() { _ = client.Close() }()
	pod, err := p.dial(ctx, r.Host)
	if err != nil {
		// The API server passes on the status line only: the reason goes there.
		_, _ = fmt.Fprintf(client, "HTTP/1.1 502 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", oneLine(err.Error()))
		return
	}
	defer func() { _ = pod.Close() }()
	if _, err := io.WriteString(client, "HTTP/1.1 200 Connection Established\r\n\r\n"); err == nil {
		tunnel(ctx, client, pod)
	}
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

// tunnel copies both ways until one side ends or the context does.
func tunnel(ctx context.Context, a, b net.Conn) {
	closeBoth := func() {
		_ = a.Close()
		_ = b.Close()
	}
	stop := context.AfterFunc(ctx, closeBoth)
	defer stop()
	var both sync.WaitGroup
	for _, direction := range [][2]net.Conn{{a, b}, {b, a}} {
		both.Go(func() {
			defer closeBoth()
			_, _ = io.Copy(direction[0], direction[1])
		})
	}
	both.Wait()
}

func oneLine(text string) string {
	return strings.NewReplacer("\r", " ", "\n", " ").Replace(text)
}
