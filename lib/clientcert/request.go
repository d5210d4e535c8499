package clientcert

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"time"
)

// OfRequest is the certificate that the caller of r presents, leaf first: that
// of the connection, or, over a connection of the ingress controller, the one
// that the controller passes on. Anyone can write such a header and
// certificates are no secrets, so over any other connection it says nothing.
//
// controllers are the authorities of the ingress controller's own certificate;
// nil when no controller is to be believed. err is ErrMissing or ErrMalformed.
func OfRequest(r *http.Request, controllers *x509.CertPool, now time.Time) ([]*x509.Certificate, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, ErrMissing
	}
	if !isController(r.TLS.PeerCertificates, controllers, now) {
		return r.TLS.PeerCertificates, nil
	}
	values := r.Header.Values(Header)
	if len(values) > 1 {
		return nil, ErrMalformed // the controller writes one; a caller may have written the other
	}
	if len(values) == 0 {
		return nil, ErrMissing
	}
	return ParseHeader(values[0])
}

// isController is true for a connection with the certificate that this module
// made for the ingress controller, with an authority of its own.
func isController(presented []*x509.Certificate, controllers *x509.CertPool, now time.Time) bool {
	if controllers == nil || TooLong(presented) {
		return false
	}
	_, err := pathsOf(presented, controllers, now)
	return err == nil
}

// RejectAbsurdChains is for tls.Config.VerifyConnection. A chain stays in memory as
// long as its connection. It only bounds the chain; OfRequest and Anchors.Verify judge it.
func RejectAbsurdChains(state tls.ConnectionState) error {
	if TooLong(state.PeerCertificates) {
		return errors.New("the client certificate comes with a chain longer than any cluster needs")
	}
	return nil
}
