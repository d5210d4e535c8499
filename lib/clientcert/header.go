package clientcert

import (
	"crypto/x509"
	"net/url"
)

// Header is the field in which ingress-nginx passes the certificate of its
// caller on, when told to by auth-tls-pass-certificate-to-upstream.
const Header = "Ssl-Client-Cert"

// ParseHeader reads a value of Header: PEM, URL-encoded (nginx's
// $ssl_client_escaped_cert), with the caller's certificate first. nginx passes
// that one alone; where others follow they are intermediates. Anyone can write
// such a value: it is worth as much as the connection it comes over.
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
	chain, err := parsePEM(text)
	if err != nil || TooLong(chain) {
		return nil, ErrMalformed
	}
	return chain, nil
}
