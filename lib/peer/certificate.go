package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// unwantedFor is how long a peer that refuses this cluster's client certificate
// gets requests without one.
const unwantedFor = 10 * time.Minute

// Present makes certificate what peers that ask for a client certificate get,
// from the next request on; nil: none. Connections that were made with another
// serve no request any more. It costs nothing to present the same again.
func (c *Client) Present(certificate *tls.Certificate) {
	c.certificate.Store(certificate)
}

// shown is the client certificate of one connection pool.
type shown struct {
	certificate *tls.Certificate
	now         func() time.Time
	// asked is true once a peer has got it.
	asked atomic.Bool
}

// get is for tls.Config.GetClientCertificate.
//
// The authorities that the peer names are not looked at: an ingress controller
// in front of it names its own and passes every certificate on. A certificate
// that has ended is not shown: it proves nothing and nginx refuses the request.
func (s *shown) get(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	none := &tls.Certificate{}
	if s.certificate == nil || s.certificate.Leaf == nil || s.now().After(s.certificate.Leaf.NotAfter) {
		return none, nil
	}
	anyAuthority := *request
	anyAuthority.AcceptableCAs = nil
	if anyAuthority.SupportsCertificate(s.certificate) == nil {
		s.asked.Store(true)
		return s.certificate, nil
	}
	return none, nil // the token speaks for this cluster
}

// refused is true when the peer may have answered as it did because of the
// certificate it got: with a TLS alert, or with nginx's 400. In TLS 1.3 a client
// may send before it has read the alert; on a new connection it then sees no
// more than that the peer has closed it.
func (s *shown) refused(response *http.Response, reused bool, err error) bool {
	if !s.asked.Load() {
		return false
	}
	if err != nil {
		var operation *net.OpError
		alert := errors.As(err, &operation) && operation.Op == "remote error"
		return alert || !reused && closed(err)
	}
	return response.StatusCode == http.StatusBadRequest
}

// closed is true for the many errors of a connection that the peer closed
// without an answer: true for all but those of other origin.
func closed(err error) bool {
	var (
		operation    *net.OpError
		timeout      net.Error
		verification *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &operation) && operation.Op == "dial",
		errors.As(err, &timeout) && timeout.Timeout(),
		errors.As(err, &verification),
		errors.Is(err, context.Canceled):
		return false
	}
	return true
}

// unwanted remembers which endpoints refuse the client certificate, and until when.
type unwanted map[string]time.Time

func (u unwanted) add(endpoint string, now time.Time) {
	for other, until := range u {
		if !now.Before(until) {
			delete(u, other)
		}
	}
	u[endpoint] = now.Add(unwantedFor)
}

func (u unwanted) has(endpoint string, now time.Time) bool { return now.Before(u[endpoint]) }
