// Package wan is the network between the clusters of a lab: public names
// without DNS and without privileged ports, and a link to each cluster that can
// be cut.
package wan

import (
	"context"
	"io"
	"net"
	"sync"
)

// Link is a cluster's line to the others. While it is cut, nothing passes:
// connections stay open and silent, and new ones get no answer, as when routers
// drop packets. What was under way arrives when the link is restored, unless an
// end has given up, as TCP's retransmissions would. A nil Link is never cut.
type Link struct {
	mu sync.Mutex
	// restored is closed when the link is; nil while it is up.
	restored chan struct{}
}

// Cut the link; it costs nothing to cut it again.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.restored == nil {
		l.restored = make(chan struct{})
	}
}

// Restore the link; it costs nothing to restore one that is up.
func (l *Link) Restore() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.restored != nil {
		close(l.restored)
		l.restored = nil
	}
}

// IsCut tells whether nothing passes now.
func (l *Link) IsCut() bool { return l.cut() != nil }

func (l *Link) cut() <-chan struct{} {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.restored
}

// Wait until the link is up. The error is the context's, when that ends while the link is cut.
func (l *Link) Wait(ctx context.Context) error {
	for {
		restored := l.cut()
		if restored == nil {
			return nil
		}
		select {
		case <-restored:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Reader hands on what comes from source, its end and its errors included, when
// the link is up; a read fails when the context ends while the link is cut.
func (l *Link) Reader(ctx context.Context, source io.Reader) io.Reader {
	return reader{ctx: ctx, link: l, source: source}
}

type reader struct {
	ctx    context.Context //nolint:containedctx // as long as the connection
	link   *Link
	source io.Reader
}

func (r reader) Read(into []byte) (int, error) {
	n, err := r.source.Read(into)
	if cut := r.link.Wait(r.ctx); cut != nil {
		return 0, cut
	}
	return n, err
}

// connection across a link.
type connection struct {
	net.Conn
	received io.Reader
}

func (c connection) Read(into []byte) (int, error) { return c.received.Read(into) }

// across the link is what the connection says.
func (l *Link) across(ctx context.Context, under net.Conn) net.Conn {
	return connection{Conn: under, received: l.Reader(ctx, under)}
}

// listener accepts connections across a link.
type listener struct {
	net.Listener
	ctx  context.Context //nolint:containedctx // as long as the listener is served
	link *Link
}

func (l listener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.link.across(l.ctx, accepted), nil
}
