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

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/wan"
)

// Front forwards connections to backends, which may change at any time.
type Front struct {
	listener *net.TCPListener
	plain    pool
	// encrypted gets the connections that begin as TLS does; nil when all are treated alike.
	encrypted *pool
	// link is what connections come by; nil for one that is never cut.
	link *wan.Link
}

// Listen opens the front; Serve serves it.
func Listen(address netip.AddrPort) (*Front, error) {
	listener, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(address))
	if err != nil {
		return nil, fmt.Errorf("open the front of a Service: %w", err)
	}
	return &Front{listener: listener}, nil
}

// ListenBehind opens a front that is reached from other clusters by the link.
func ListenBehind(link *wan.Link, address netip.AddrPort) (*Front, error) {
	front, err := Listen(address)
	if err != nil {
		return nil, err
	}
	front.link = link
	return front, nil
}

// ListenSplit opens a front with two sets of backends: one for connections that
// begin as TLS does (SetTLSBackends), one for all others (SetBackends). It is
// for protocols whose client speaks first.
func ListenSplit(address netip.AddrPort) (*Front, error) {
	front, err := Listen(address)
	if err != nil {
		return nil, err
	}
	front.encrypted = &pool{}
	return front, nil
}

// Address that the front listens on.
func (f *Front) Address() netip.AddrPort {
	return netip.MustParseAddrPort(f.listener.Addr().String())
}

// SetBackends replaces the backends; established connections stay.
func (f *Front) SetBackends(backends []netip.AddrPort) { f.plain.set(backends) }

// SetTLSBackends replaces the backends for TLS of a front that tells it from
// the rest; established connections stay.
func (f *Front) SetTLSBackends(backends []netip.AddrPort) { f.encrypted.set(backends) }

// Backends of now.
func (f *Front) Backends() []netip.AddrPort { return f.plain.get() }

// Close a front that is not served.
func (f *Front) Close() error {
	if err := f.listener.Close(); err != nil {
		return fmt.Errorf("close the front of a Service: %w", err)
	}
	return nil
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
	stop := context.AfterFunc(ctx, func() { _ = client.Close() })
	defer stop()
	backends, begin := &f.plain, []byte(nil)
	if f.encrypted != nil {
		first, err := firstByte(client)
		if err != nil {
			return
		}
		if begin = []byte{first}; first == tlsHandshake {
			backends = f.encrypted
		}
	}
	if err := f.link.Wait(ctx); err != nil {
		return
	}
	backend := backends.dial(ctx)
	if backend == nil {
		// A Service without endpoints refuses: reset instead of an orderly end.
		_ = client.SetLinger(0)
		return
	}
	defer func() { _ = backend.Close() }()
	stopBackend := context.AfterFunc(ctx, func() { _ = backend.Close() })
	defer stopBackend()
	if _, err := backend.Write(begin); err != nil {
		_ = client.SetLinger(0)
		return
	}

	var both sync.WaitGroup
	both.Go(func() { f.pipe(ctx, backend, client) })
	both.Go(func() { f.pipe(ctx, client, backend) })
	both.Wait()
}

// tlsHandshake is the type of a TLS connection's first record.
const tlsHandshake = 0x16

func firstByte(client net.Conn) (byte, error) {
	var first [1]byte
	_, err := io.ReadFull(client, first[:])
	return first[0], err
}

// pipe copies one direction and passes its end on. A direction that broke
// takes the other one with it, as when a Pod dies.
func (f *Front) pipe(ctx context.Context, to, from *net.TCPConn) {
	var received io.Reader = from
	if f.link != nil {
		received = f.link.Reader(ctx, from)
	}
	if _, err := io.Copy(to, received); err != nil {
		_ = to.SetLinger(0)
		_ = to.Close()
		_ = from.Close()
		return
	}
	_ = to.CloseWrite()
}
