// Package clientcert is how neighbouring clusters prove who they are to each
// other with a TLS client certificate: what such a certificate is, how a cluster
// issues its own, and how its neighbours verify it. The rules are the contract's
// section "Who is a neighbour".
package clientcert

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	// CommonName is the whole subject of a cluster's client certificate.
	CommonName = "deckhouse"

	// MaxChainLength bounds the certificates that a caller may present, the leaf among them.
	MaxChainLength = 8
	// MaxChainBytes bounds their size together.
	MaxChainBytes = 32 << 10

	certificateType = "CERTIFICATE"
)

// Certificate is a client certificate and its key in PEM, as the Secret
// d8-remote-client-certificate holds them.
type Certificate struct {
	// Crt is the certificate, followed by those that lead to the root without it.
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

// Check verifies the certificate as a neighbour that trusts roots (PEM) would at now.
func (c Certificate) Check(roots string, now time.Time) error {
	if _, err := c.KeyPair(); err != nil {
		return err
	}
	chain, err := parsePEM(c.Crt)
	if err != nil {
		return fmt.Errorf("read the client certificate: %w", err)
	}
	trusted, err := parsePEM(roots)
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

// parsePEM reads certificates that stand one after another with nothing but
// white space around them; there is at least one.
func parsePEM(text string) ([]*x509.Certificate, error) {
	var certificates []*x509.Certificate
	rest := strings.TrimSpace(text)
	for rest != "" {
		// pem.Decode skips whatever precedes a block.
		if !strings.HasPrefix(rest, "-----BEGIN "+certificateType+"-----") {
			return nil, errors.New("something that is no PEM certificate stands among the certificates")
		}
		block, after := pem.Decode([]byte(rest))
		if block == nil || block.Type != certificateType || len(block.Headers) > 0 {
			return nil, errors.New("a PEM block is broken")
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parse certificate: %w", err)
		}
		certificates = append(certificates, certificate)
		rest = strings.TrimSpace(string(after))
	}
	if len(certificates) == 0 {
		return nil, errors.New("there is no certificate")
	}
	return certificates, nil
}

func encodePEM(certificates ...*x509.Certificate) string {
	var text strings.Builder
	for _, certificate := range certificates {
		text.Write(pem.EncodeToMemory(&pem.Block{Type: certificateType, Bytes: certificate.Raw}))
	}
	return text.String()
}
