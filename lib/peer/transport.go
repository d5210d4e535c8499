package peer

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/deckhouse-mesh/istio/lib/certs"
)

// headerTableSize is how many bytes of sent headers a connection may remember.
const headerTableSize = 512

// receiveBuffer of an answer is a quarter of Go's own: much for one peer, and bounded for hundreds. A document of 4 MiB
// takes less than half a second over it where an answer is 100 ms away.
const receiveBuffer = 1 << 20

// pooledTransport has the connections to the peers that are trusted in one way.
type pooledTransport struct {
	*http.Transport
	presented *presented
	lastUse   time.Time
	// renewal is that of the only host that uses the pool; 0 for a pool that hosts share.
	renewal uint64
}

// do sends the request. It sends it a second time on a new connection when a
// reused one may lead to the wrong server, and without the client certificate when
// the peer may have rejected it because of that: presenting a certificate must not
// break what works with the token alone. Every error is an *Error.
func (c *Client) do(request *http.Request, target Target) (*http.Response, error) {
	address := request.URL.String()
	transport, err := c.transport(target, request.URL.Host, c.certificateFor(target))
	if err != nil {
		return nil, &Error{Reason: TLS, URL: address, Err: err}
	}
	response, reused, err := transport.send(request)
	if err == nil && reused && misdirected(response) {
		_ = response.Body.Close()
		c.renew(request.URL.Host, transport)
		if transport, err = c.transport(target, request.URL.Host, c.certificateFor(target)); err != nil {
			return nil, &Error{Reason: TLS, URL: address, Err: err}
		}
		response, reused, err = transport.send(request.Clone(request.Context()))
	}
	if transport.presented.rejected(response, reused, err) {
		if plain, ok := c.doWithout(request, target); ok {
			if err == nil {
				_ = response.Body.Close()
			}
			return plain, nil
		}
	}
	if err != nil {
		return nil, transportError(address, err)
	}
	return response, nil
}

// doWithout sends the request without a client certificate; ok is false when that
// fails as well. A peer for which it succeeds gets no certificate for a while.
func (c *Client) doWithout(request *http.Request, target Target) (_ *http.Response, ok bool) {
	transport, err := c.transport(target, request.URL.Host, nil)
	if err != nil {
		return nil, false
	}
	response, _, err := transport.send(request.Clone(request.Context()))
	if err != nil {
		return nil, false
	}
	if response.StatusCode == http.StatusBadRequest {
		_ = response.Body.Close()
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unwanted.add(target.URL, c.now())
	return response, true
}

// send sends the request once; reused is true when the connection had served another.
func (t *pooledTransport) send(request *http.Request) (response *http.Response, reused bool, err error) {
	var kept atomic.Bool
	trace := &httptrace.ClientTrace{GotConn: func(connection httptrace.GotConnInfo) { kept.Store(connection.Reused) }}
	request = request.WithContext(httptrace.WithClientTrace(request.Context(), trace))
	// No http.Client: it would follow a redirect and send the token to an address that
	// nobody configured, and a held request would retain its memory all the while.
	response, err = t.RoundTrip(request)
	var record tls.RecordHeaderError
	if errors.As(err, &record) && string(record.RecordHeader[:]) == "HTTP/" {
		err = http.ErrSchemeMismatch
	}
	return response, kept.Load(), err
}

// certificateFor is the client certificate for target.
func (c *Client) certificateFor(target Target) *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unwanted.has(target.URL, c.now()) {
		return nil
	}
	return c.certificate.Load()
}

// transport returns the connection pool for target's trust settings, this client
// certificate and the host's renewal, and closes pools that were not used lately.
func (c *Client) transport(target Target, host string, certificate *tls.Certificate) (*pooledTransport, error) {
	identity := strconv.FormatBool(target.InsecureSkipVerify) + target.CA
	if certificate != nil && len(certificate.Certificate) > 0 {
		identity += "\x00" + string(certificate.Certificate[0])
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	renewal := c.renewals.hosts[host].number
	if renewal != 0 {
		identity += "\x00renewal " + strconv.FormatUint(renewal, 10)
	}
	key := sha256.Sum256([]byte(identity))
	now := c.now()
	for other, pooled := range c.transports {
		if other != key && now.Sub(pooled.lastUse) > transportIdleFor {
			pooled.CloseIdleConnections()
			delete(c.transports, other)
		}
	}
	if pooled, ok := c.transports[key]; ok {
		pooled.lastUse = now
		return pooled, nil
	}

	presents := &presented{certificate: certificate, now: c.now}
	tlsConfig, err := clientTLS(target, presents)
	if err != nil {
		return nil, err
	}
	pooled := &pooledTransport{lastUse: now, presented: presents, renewal: renewal, Transport: &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:    5 * time.Second,
		TLSClientConfig:        tlsConfig,
		MaxIdleConnsPerHost:    2,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
		HTTP2: &http.HTTP2Config{
			// A held answer is silent for a minute; pings detect a peer that has disappeared.
			SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second,
			// A table of sent headers would fill with tokens, which are never sent again, on both sides.
			MaxEncoderHeaderTableSize: headerTableSize,
			// What a peer may send before it is read.
			MaxReceiveBufferPerStream: receiveBuffer,
		},
	}}
	c.transports[key] = pooled
	return pooled, nil
}

func clientTLS(target Target, presents *presented) (*tls.Config, error) {
	config := &tls.Config{
		MinVersion:           tls.VersionTLS12,
		InsecureSkipVerify:   target.InsecureSkipVerify, //nolint:gosec // the person's own choice, spec.metadata.insecureSkipVerify
		GetClientCertificate: presents.get,
	}
	if target.CA == "" {
		return config, nil
	}
	// It alone: istiod, which gets the same CA in a kubeconfig, trusts no other either.
	roots := x509.NewCertPool()
	if err := certs.AddTo(roots, target.CA); err != nil {
		return nil, fmt.Errorf("spec.metadata.ca: %w", err)
	}
	config.RootCAs = roots
	return config, nil
}
