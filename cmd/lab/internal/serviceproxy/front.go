// Package serviceproxy stands in for kube-proxy and the load balancer: it
// forwards TCP connections from one stable address to the ready Pods of a
// Service, and gives Services of type LoadBalancer an address.
package serviceproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// dialTimeout for one backend; everything is on one machine.
const dialTimeout = 2 * time.Second

// Front forwards connections to backends, which may change at any time.
type Front struct {
	listener *net.TCPListener
	next     atomic.Uint64

	mu       sync.Mutex
	backends []netip.AddrPort
}

// Listen opens the front; Serve serves it.
func Listen(address netip.AddrPort) (*Front, error) {
	listener, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(address))
	if err != nil {
		return nil, fmt.Errorf("open the front of a Service: %w", err)
	}
	return &Front{listener: listener}, nil
}

// Address that the front listens on.
func (f *Front) Address() netip.AddrPort {
	return netip.MustParseAddrPort(f.listener.Addr().String())
}

// SetBackends replaces the backends; established connections stay.
func (f *Front) SetBackends(backends []netip.AddrPort) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.backends = backends
}

// Backends of now.
func (f *Front) Backends() []netip.AddrPort {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.backends
}

// Serve forwards until the context ends, then closes every connection and returns.
func (f *Front) Serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = f.listener.Close() })
	defer stop()
	var connections sync.WaitGroup
	defer connections.Wait()
	for {
		client, err := f.listener.AcceptTCP()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("accept on the front %s: %w", f.Address(), err)
		}
		connections.Go(func() { f.forward(ctx, client) })
	}
}

func (f *Front) forward(ctx context.Context, client *net.TCPConn) {
	defer func() { _ = client.Close() }()
	backend := f.dial(ctx)
	if backend == nil {
		// A Service without endpoints refuses: reset instead of an orderly end.
		_ = client.SetLinger(0)
		return
	}
	defer func() { _ = backend.Close() }()
	stop := context.AfterFunc(ctx, func() {
		_ = client.Close()
		_ = backend.Close()
	})
	defer stop()

	var both sync.WaitGroup
	both.Go(func() { pipe(backend, client) })
	both.Go(func() { pipe(client, backend) })
	both.Wait()
}

// pipe copies one direction and passes its end on. A direction that broke
// takes the other one with it, as when a Pod dies.
func pipe(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		_ = to.SetLinger(0)
		_ = to.Close()
		_ = from.Close()
		return
	}
	_ = to.CloseWrite()
}

func (f *Front) dial(ctx context.Context) *net.TCPConn {
	backends := f.Backends()
	if len(backends) == 0 {
		return nil
	}
	begin := f.next.Add(1)
	dialer := &net.Dialer{Timeout: dialTimeout}
	for i := range backends {
		backend := backends[(begin+uint64(i))%uint64(len(backends))]
		connection, err := dialer.DialContext(ctx, "tcp", backend.String())
		if tcp, ok := connection.(*net.TCPConn); err == nil && ok {
			return tcp
		}
	}
	return nil
}
