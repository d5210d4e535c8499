package fabric

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"
)

// dialTimeout of a forwarded connection.
const dialTimeout = 10 * time.Second

// forwardAttempts bounds how often another port is chosen when one is in use in the fabric.
const forwardAttempts = 20

// Forward opens a port on 127.0.0.1, the same in the fabric and outside, and
// forwards its connections to the address in the fabric until the context ends.
func (f *Fabric) Forward(ctx context.Context, to netip.AddrPort) (netip.AddrPort, error) {
	var last error
	for range forwardAttempts {
		outside, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("forward %s: %w", to, err)
		}
		address, err := netip.ParseAddrPort(outside.Addr().String())
		if err != nil {
			return netip.AddrPort{}, errors.Join(err, outside.Close())
		}
		inside, err := f.Listen(address)
		if err != nil {
			last = errors.Join(err, outside.Close())
			continue
		}
		for _, listener := range []net.Listener{outside, inside} {
			context.AfterFunc(ctx, func() { _ = listener.Close() })
			go f.accept(ctx, listener, to)
		}
		return address, nil
	}
	return netip.AddrPort{}, fmt.Errorf("forward %s: %w", to, last)
}

func (f *Fabric) accept(ctx context.Context, listener net.Listener, to netip.AddrPort) {
	for {
		connection, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // such as too many open files: it may pass
			time.Sleep(10 * time.Millisecond)
			continue
		}
		go f.pass(ctx, connection, to)
	}
}

// pass all that comes from a connection to the address, and back.
func (f *Fabric) pass(ctx context.Context, from net.Conn, to netip.AddrPort) {
	defer func() { _ = from.Close() }()
	dialing, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	target, err := f.Dial(dialing, to)
	if err != nil {
		return
	}
	defer func() { _ = target.Close() }()
	stop := context.AfterFunc(ctx, func() { _, _ = from.Close(), target.Close() })
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		copyHalf(target, from)
	}()
	copyHalf(from, target)
	<-done
}

// copyHalf copies one direction and then lets the receiver know that it has ended.
func copyHalf(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}
