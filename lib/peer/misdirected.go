package peer

import (
	"net/http"
	"time"
)

// misdirected is true for answers of a server that does not serve the address at
// all. Over a reused connection they may not be the peer's: when the TLS mode of its
// Ingress changes between termination and passthrough, the ingress controller keeps
// the connections of the previous mode and answers 404 on them, or 421 as in RFC
// 9110, for as long as they are used.
func misdirected(response *http.Response) bool {
	return response.StatusCode == http.StatusNotFound || response.StatusCode == http.StatusMisdirectedRequest
}

// renewals are the hosts that get connections of their own, because older ones led
// to the wrong server.
type renewals struct {
	latest uint64
	hosts  map[string]renewal
}

type renewal struct {
	// number distinguishes connections made before and after; 0 when there was no renewal.
	number uint64
	at     time.Time
}

// add records that host needs new connections, and forgets renewals that are older
// than any open connection.
func (r *renewals) add(host string, now time.Time) {
	for other, made := range r.hosts {
		if now.Sub(made.at) > transportIdleFor {
			delete(r.hosts, other)
		}
	}
	r.latest++
	r.hosts[host] = renewal{number: r.latest, at: now}
}

// renew makes the next request to the host use a new connection. Requests in
// flight, such as a held one, keep theirs, and so do other hosts. It does nothing
// when another request has done it since used was chosen.
func (c *Client) renew(host string, used *pooledTransport) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.renewals.hosts[host].number != used.renewal {
		return
	}
	c.renewals.add(host, c.now())
	if used.renewal == 0 {
		return // hosts without a renewal share their pools
	}
	used.CloseIdleConnections()
	for key, pooled := range c.transports {
		if pooled == used {
			delete(c.transports, key)
		}
	}
}
