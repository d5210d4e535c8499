package clientcert

import (
	"crypto/x509"
	"net/url"

	"github.com/deckhouse-mesh/istio/lib/certs"
)

// Header is the HTTP header in which ingress-nginx forwards the certificate of its
// caller, if the annotation auth-tls-pass-certificate-to-upstream says so.
const Header = "Ssl-Client-Cert"

var headerRules = certs.Rules{MaxCount: MaxChainLength, MaxBytes: MaxChainBytes, NoWords: true}

// ParseHeader reads a value of Header: PEM, URL-encoded (nginx's
// $ssl_client_escaped_cert), with the caller's certificate first. nginx forwards
// that one alone; others that follow are intermediates. Anyone can write
// such a value: trust it no more than the connection over which it arrives.
// err is ErrMissing or ErrMalformed.
func ParseHeader(value string) ([]*x509.Certificate, error) {
	if value == "" {
		return nil, ErrMissing
	}
	if len(value) > 2*MaxChainBytes {
		return nil, ErrMalformed
	}
	// Not as in a query: "+" is part of base64.
	text, err := url.PathUnescape(value)
	if err != nil {
		return nil, ErrMalformed
	}
	chain, err := headerRules.Parse(text)
	if err != nil || TooLong(chain) {
		return nil, ErrMalformed
	}
	return chain, nil
}
