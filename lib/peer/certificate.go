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

// unwantedFor is how long a peer that rejects this cluster's client certificate
// gets requests without one.
const unwantedFor = 10 * time.Minute

// Present sets the certificate for peers that ask for a client certificate, from
// the next request on; nil is none. Connections that were made with another one
// serve no more requests. Presenting the same certificate again costs nothing.
func (c *Client) Present(certificate *tls.Certificate) {
	c.certificate.Store(certificate)
}

// presented is the client certificate of one connection pool.
type presented struct {
	certificate *tls.Certificate
	now         func() time.Time
	// asked is true once a peer has received it.
	asked atomic.Bool
}

// get is for tls.Config.GetClientCertificate.
//
// The authorities that the peer names are ignored: an ingress controller in front
// of it names its own and forwards every certificate. An expired certificate is not
// presented: it proves nothing, and nginx rejects the request.
func (p *presented) get(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	none := &tls.Certificate{}
	if p.certificate == nil || p.certificate.Leaf == nil || p.now().After(p.certificate.Leaf.NotAfter) {
		return none, nil
	}
	anyAuthority := *request
	anyAuthority.AcceptableCAs = nil
	if anyAuthority.SupportsCertificate(p.certificate) == nil {
		p.asked.Store(true)
		return p.certificate, nil
	}
	return none, nil // the token proves this cluster
}

// rejected is true when the peer may have answered as it did because of the
// certificate that it received: with a TLS alert, or with nginx's 400. In TLS 1.3 a
// client may send before it has read the alert; on a new connection it then sees
// only that the peer has closed it.
func (p *presented) rejected(response *http.Response, reused bool, err error) bool {
	if !p.asked.Load() {
		return false
	}
	if err != nil {
		var operation *net.OpError
		alert := errors.As(err, &operation) && operation.Op == "remote error"
		return alert || !reused && closed(err)
	}
	return response.StatusCode == http.StatusBadRequest
}

// closed is true for the many errors of a connection that the peer closed without
// an answer; only errors that are known to have another cause are excluded.
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

// unwanted has the endpoints that reject the client certificate, and until when that is assumed.
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
