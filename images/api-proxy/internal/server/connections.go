package server

import (
	"net"
	"sync"
	"sync/atomic"

	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/telemetry"
)

// limitConnections closes connections beyond the limit at once. To let them
// wait would keep neighbours out just as well, and whoever opens them could
// not be told from a silent network.
func limitConnections(listener net.Listener, limit int, metrics *telemetry.Metrics) net.Listener {
	return &limitedListener{Listener: listener, limit: int64(limit), metrics: metrics}
}

type limitedListener struct {
	net.Listener
	limit   int64
	open    atomic.Int64
	metrics *telemetry.Metrics
}

func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		connection, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= l.limit {
			l.metrics.Connections.Inc()
			return &countedConn{Conn: connection, closed: sync.OnceFunc(func() {
				l.open.Add(-1)
				l.metrics.Connections.Dec()
			})}, nil
		}
		l.open.Add(-1)
		l.metrics.ConnectionsRefused.Inc()
		_ = connection.Close()
	}
}

type countedConn struct {
	net.Conn
	closed func()
}

func (c *countedConn) Close() error {
	c.closed()
	return c.Conn.Close()
}
