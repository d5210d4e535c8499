package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"

	"github.com/deckhouse-mesh/istio/lib/clientcert"
)

// callersCertificate is the certificate that the caller presents, leaf first:
// that of the connection, or, over a connection of the ingress controller, the
// one that the controller passes on. Anyone can write such a header and
// certificates are no secrets, so over any other connection it says nothing.
func (h *Handler) callersCertificate(r *http.Request) ([]*x509.Certificate, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, clientcert.ErrMissing
	}
	if !h.isIngressController(r.TLS.PeerCertificates) {
		return r.TLS.PeerCertificates, nil
	}
	values := r.Header.Values(clientcert.Header)
	if len(values) > 1 {
		return nil, clientcert.ErrMalformed // the controller writes one; who wrote the other?
	}
	if len(values) == 0 {
		return nil, clientcert.ErrMissing
	}
	return clientcert.ParseHeader(values[0])
}

// isIngressController is true for a connection with the certificate that this
// module made for the ingress controller, with an authority of its own.
func (h *Handler) isIngressController(presented []*x509.Certificate) bool {
	if h.ingressClients == nil || clientcert.TooLong(presented) {
		return false
	}
	intermediates := x509.NewCertPool()
	for _, intermediate := range presented[1:] {
		intermediates.AddCert(intermediate)
	}
	_, err := presented[0].Verify(x509.VerifyOptions{
		Roots: h.ingressClients.Current(), Intermediates: intermediates,
		CurrentTime: h.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err == nil
}

// refuseAbsurdChains is for tls.Config.VerifyConnection. Whatever a caller
// presents is kept as long as its connection; what it proves is judged where it matters.
func refuseAbsurdChains(state tls.ConnectionState) error {
	if clientcert.TooLong(state.PeerCertificates) {
		return errors.New("the client certificate comes with a chain longer than any cluster needs")
	}
	return nil
}
