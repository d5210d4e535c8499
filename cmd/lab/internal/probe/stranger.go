package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/pki"
)

// Stranger opens TLS as a client that the server does not know.
type Stranger struct {
	// Address of the gateway, with its port.
	Address string
	// ServerName leads through a gateway that passes TLS on by name.
	ServerName string
	// Protocols offered (ALPN): "istio" leads to the part of a proxy that wants mutual TLS.
	Protocols []string
	// Identity, when not empty, is the SPIFFE ID in a certificate of a root made for the
	// occasion; without one no certificate is shown.
	Identity string
}

// Verdict is what the server said to a stranger.
type Verdict struct {
	// Server are the SPIFFE IDs of the certificate that the server showed; empty when it never got so far.
	Server []string `json:"server,omitempty"`
	// Alert is the TLS alert, in Go's words, by which the server ended the connection.
	Alert string `json:"alert,omitempty"`
	// Error is how else it came to an end.
	Error string `json:"error,omitempty"`
	// Accepted is true when the server went on to the application's protocol.
	Accepted bool `json:"accepted"`
}

// Try connects, completes the handshake, sends a request, and reads.
func (s Stranger) Try(ctx context.Context) Verdict {
	config, err := s.config()
	if err != nil {
		return Verdict{Error: err.Error()}
	}
	var verdict Verdict
	config.VerifyConnection = func(state tls.ConnectionState) error {
		for _, uri := range state.PeerCertificates[0].URIs {
			verdict.Server = append(verdict.Server, uri.String())
		}
		return nil
	}
	err = s.talk(ctx, config)
	var alert tls.AlertError
	var operation *net.OpError
	switch {
	case err == nil:
		verdict.Accepted = true
	case errors.As(err, &alert):
		verdict.Alert = alert.Error()
	case errors.As(err, &operation) && operation.Op == "remote error":
		// crypto/tls reports an alert of the other side by a type of its own.
		verdict.Alert = operation.Err.Error()
	default:
		verdict.Error = err.Error()
	}
	return verdict
}

func (s Stranger) talk(ctx context.Context, config *tls.Config) error {
	connection, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", s.Address)
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	if deadline, ok := ctx.Deadline(); ok {
		if err := connection.SetDeadline(deadline); err != nil {
			return err
		}
	}
	// With TLS 1.3 the client is done before the server has judged its certificate: the alert comes with the first read.
	if _, err := fmt.Fprintf(connection, "GET / HTTP/1.1\r\nHost: stranger\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	_, err = connection.Read(make([]byte, 1))
	return err
}

func (s Stranger) config() (*tls.Config, error) {
	config := &tls.Config{
		ServerName: s.ServerName, NextProtos: s.Protocols, MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // a stranger takes whatever server there is
	}
	if s.Identity == "" {
		return config, nil
	}
	certificate, err := foreignCertificate(s.Identity)
	if err != nil {
		return nil, fmt.Errorf("make a certificate of a foreign root: %w", err)
	}
	// Shown whichever roots the server names.
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	return config, nil
}

// foreignCertificate claims an identity under a root that nobody knows.
func foreignCertificate(identity string) (*tls.Certificate, error) {
	uri, err := url.Parse(identity)
	if err != nil {
		return nil, err
	}
	root, err := pki.NewAuthority("foreign root")
	if err != nil {
		return nil, err
	}
	leaf, err := root.Issue(pki.Subject{URIs: []*url.URL{uri}, Client: true, Server: true})
	if err != nil {
		return nil, err
	}
	certificate, err := tls.X509KeyPair(append(leaf.Certificate, root.PEM...), leaf.Key)
	return &certificate, err
}
