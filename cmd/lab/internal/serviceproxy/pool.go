package serviceproxy

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"
)

// dialTimeout for one backend; everything is on one machine.
const dialTimeout = 2 * time.Second

// pool of backends that take turns.
type pool struct {
	mu       sync.Mutex
	backends []netip.AddrPort
	next     int
}

func (p *pool) set(backends []netip.AddrPort) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.backends = backends
}

func (p *pool) get() []netip.AddrPort {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.backends
}

// turn is the backends of now, and which of them to try first.
func (p *pool) turn() (backends []netip.AddrPort, first int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next++
	return p.backends, p.next
}

// dial the next backend that accepts the connection; nil when none does.
func (p *pool) dial(ctx context.Context) *net.TCPConn {
	backends, first := p.turn()
	dialer := &net.Dialer{Timeout: dialTimeout}
	for i := range backends {
		backend := backends[(first+i)%len(backends)]
		connection, err := dialer.DialContext(ctx, "tcp", backend.String())
		if tcp, ok := connection.(*net.TCPConn); err == nil && ok {
			return tcp
		}
	}
	return nil
}
