package hookruntime

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/deckhouse/module-sdk/pkg"
)

const (
	defaultHTTPTimeout = 10 * time.Second
	// maxTransports bounds the connection pools kept; with more ways of trusting
	// servers than that (certificates are replaced), all are dropped and rebuilt.
	maxTransports = 64
)

// httpClients makes HTTP clients from module-sdk's options. Clients with the
// same way of trusting a server share a connection pool.
type httpClients struct {
	mu         sync.Mutex
	transports map[[sha256.Size]byte]*http.Transport
}

func newHTTPClients() *httpClients {
	return &httpClients{transports: map[[sha256.Size]byte]*http.Transport{}}
}

func (c *httpClients) get(options ...pkg.HTTPOption) *http.Client {
	settings := httpSettings{timeout: defaultHTTPTimeout}
	for _, option := range options {
		option.Apply(&settings)
	}
	transport, err := c.transport(settings)
	if err != nil {
		return &http.Client{Transport: failingTransport{err: err}}
	}
	return &http.Client{Timeout: settings.timeout, Transport: transport}
}

func (c *httpClients) transport(settings httpSettings) (*http.Transport, error) {
	key := settings.trustKey()
	c.mu.Lock()
	defer c.mu.Unlock()
	if transport, found := c.transports[key]; found {
		return transport, nil
	}
	config, err := settings.tlsConfig()
	if err != nil {
		return nil, err
	}
	if len(c.transports) >= maxTransports {
		for _, transport := range c.transports {
			transport.CloseIdleConnections()
		}
		clear(c.transports)
	}
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSClientConfig:       config,
		TLSHandshakeTimeout:   5 * time.Second,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       5 * time.Minute,
		ForceAttemptHTTP2:     true,
	}
	c.transports[key] = transport
	return transport, nil
}

// httpSettings collects options; it is their pkg.HTTPOptionApplier.
type httpSettings struct {
	timeout    time.Duration
	insecure   bool
	caBundles  [][]byte
	serverName string
}

func (s *httpSettings) WithTimeout(timeout time.Duration) { s.timeout = timeout }
func (s *httpSettings) WithInsecureSkipVerify()           { s.insecure = true }
func (s *httpSettings) WithAdditionalCACerts(bundles [][]byte) {
	s.caBundles = append(s.caBundles, bundles...)
}
func (s *httpSettings) WithTLSServerName(name string) { s.serverName = name }

// trustKey identifies what the TLS configuration depends on.
func (s *httpSettings) trustKey() [sha256.Size]byte {
	hash := sha256.New()
	fmt.Fprintf(hash, "%t %q", s.insecure, s.serverName)
	for _, bundle := range s.caBundles {
		fmt.Fprintf(hash, " %d:", len(bundle))
		hash.Write(bundle)
	}
	return [sha256.Size]byte(hash.Sum(nil))
}

func (s *httpSettings) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{
		MinVersion: tls.VersionTLS12,
		ServerName: s.serverName,
		//nolint:gosec // only where a person asked for it, by the option of that name
		InsecureSkipVerify: s.insecure,
	}
	if s.insecure || len(s.caBundles) == 0 {
		return config, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	for _, bundle := range s.caBundles {
		if !pool.AppendCertsFromPEM(bundle) {
			return nil, errors.New("trust an additional CA: the PEM bundle has no certificate")
		}
	}
	config.RootCAs = pool
	return config, nil
}

// failingTransport fails every request with the reason the client could not be made.
type failingTransport struct{ err error }

func (t failingTransport) RoundTrip(*http.Request) (*http.Response, error) { return nil, t.err }
