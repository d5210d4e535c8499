// Package clientcert is how clusters prove their identity to each other with a
// TLS client certificate: what such a certificate is, how a cluster issues its
// own, and how its peers verify it. The rules are the contract's section "Who is a peer".
package clientcert

import (
	"crypto/tls"
	"fmt"
	"time"

	"github.com/deckhouse-mesh/istio/lib/certs"
)

const (
	// CommonName is the whole subject of a cluster's client certificate.
	CommonName = "deckhouse"

	// MaxChainLength bounds the certificates that a caller may present, the leaf among them.
	MaxChainLength = 8
	// MaxChainBytes bounds their size together.
	MaxChainBytes = 32 << 10
)

// Certificate is a client certificate and its key in PEM, as the Secret
// d8-remote-client-certificate holds them.
type Certificate struct {
	// Crt is the certificate and those above it, the root left out.
	Crt string `json:"crt"`
	// Key belongs to the first certificate of Crt; PKCS#8.
	Key string `json:"key"`
}

// IsZero is true when there is no certificate.
func (c Certificate) IsZero() bool { return c == Certificate{} }

// KeyPair is the certificate in the form that package tls uses.
func (c Certificate) KeyPair() (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair([]byte(c.Crt), []byte(c.Key))
	if err != nil {
		return nil, fmt.Errorf("read the client certificate: %w", err)
	}
	return &pair, nil
}

// Check verifies the certificate as a peer that trusts roots (PEM) would at now.
func (c Certificate) Check(roots string, now time.Time) error {
	if _, err := c.KeyPair(); err != nil {
		return err
	}
	chain, err := certs.Parse(c.Crt)
	if err != nil {
		return fmt.Errorf("read the client certificate: %w", err)
	}
	trusted, err := certs.Parse(roots)
	if err != nil {
		return fmt.Errorf("read the roots: %w", err)
	}
	var anchors Anchors
	for _, root := range trusted {
		anchors.Add(root, "")
	}
	_, err = anchors.Verify(chain, now)
	return err
}
