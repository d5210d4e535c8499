// Package upstream sends requests to this cluster's API server with the proxy's
// own rights. Of a caller's request it gets only the fields of Request, so there is
// nothing to strip and nothing to forget.
package upstream

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"

	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/requests"
)

// ErrCredentials means that the API server does not accept the proxy's own token.
var ErrCredentials = errors.New("the API server rejects the proxy's own credentials")

const (
	// What is read ahead of a caller that reads slowly, in bytes: for each list,
	// and for each watch, of which a caller may hold many and read none.
	listBuffer, watchBuffer = 512 << 10, 64 << 10
	// A connection that is silently dead is detected within their sum.
	pingAfter, pingTimeout = 20 * time.Second, 10 * time.Second
)

// Request is the part of a caller's request that is forwarded.
type Request struct {
	requests.Request
	// Accept and AcceptEncoding are the caller's, unread: the answer is forwarded as
	// it is, protobuf and gzip included.
	Accept, AcceptEncoding string
	// ContentType and Body of a review.
	ContentType string
	Body        []byte
	// Peer is named in the User-Agent, for the API server's own audit.
	Peer string
}

// Server is this cluster's API server.
type Server struct {
	base *url.URL
	// watches have connections of their own, with small buffers.
	requests, watches http.RoundTripper
}

// New makes a client of the API server that config names.
func New(config *rest.Config) (*Server, error) {
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("find the API server: %w", err)
	}
	server := &Server{base: base}
	config = rest.CopyConfig(config)
	if config.BearerTokenFile != "" {
		// The kubelet replaces the file: it is read again every minute, and after the API server has rejected the token.
		token := transport.NewCachedFileTokenSource(config.BearerTokenFile)
		if _, err := token.Token(); err != nil {
			return nil, fmt.Errorf("read the ServiceAccount's token: %w", err)
		}
		config.Wrap(transport.ResettableTokenSourceWrapTransport(token))
		config.BearerToken, config.BearerTokenFile = "", ""
	}
	tlsConfig, err := rest.TLSConfigFor(config)
	if err != nil {
		return nil, fmt.Errorf("prepare TLS to the API server: %w", err)
	}
	for client, buffer := range map[*http.RoundTripper]int{&server.requests: listBuffer, &server.watches: watchBuffer} {
		*client, err = rest.HTTPWrappersForConfig(config, newTransport(config, tlsConfig.Clone(), buffer))
		if err != nil {
			return nil, fmt.Errorf("prepare credentials for the API server: %w", err)
		}
	}
	return server, nil
}

func newTransport(config *rest.Config, tlsConfig *tls.Config, streamBuffer int) *http.Transport {
	proxy := config.Proxy
	if proxy == nil {
		proxy = http.ProxyFromEnvironment
	}
	dial := config.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	return &http.Transport{
		Proxy:               proxy,
		DialContext:         dial,
		TLSClientConfig:     tlsConfig,
		TLSHandshakeTimeout: 10 * time.Second,
		ForceAttemptHTTP2:   true,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout: pingAfter, PingTimeout: pingTimeout, MaxReceiveBufferPerStream: streamBuffer, MaxReadFrameSize: 64 << 10,
		},
		MaxIdleConnsPerHost:    25,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		// The caller's Accept-Encoding decides, and its answer is not decompressed here.
		DisableCompression: true,
	}
}

// Do sends the request. The caller closes the answer's body. The answer never
// has status 401, which would be about the proxy's credentials and not the
// caller's: that is ErrCredentials. It is sent again once after a 401: the token may
// have been replaced.
func (s *Server) Do(ctx context.Context, request Request) (*http.Response, error) {
	client := s.requests
	if request.Verb == requests.Watch {
		client = s.watches
	}
	for range 2 {
		outgoing, err := s.outgoing(ctx, request)
		if err != nil {
			return nil, err
		}
		response, err := client.RoundTrip(outgoing)
		switch {
		case err != nil:
			return nil, err
		case response.StatusCode != http.StatusUnauthorized:
			return response, nil
		}
		_, _ = io.CopyN(io.Discard, response.Body, 4<<10)
		_ = response.Body.Close()
	}
	return nil, ErrCredentials
}

func (s *Server) outgoing(ctx context.Context, request Request) (*http.Request, error) {
	target := *s.base
	target.Path = s.base.JoinPath(request.Path()).Path
	target.RawQuery = request.Query.Encode()
	outgoing, err := http.NewRequestWithContext(ctx, request.Method(), target.String(), bytes.NewReader(request.Body))
	if err != nil {
		return nil, fmt.Errorf("make the request for the API server: %w", err)
	}
	outgoing.Header = http.Header{"User-Agent": {"istio-api-proxy (peer " + request.Peer + ")"}}
	for name, value := range map[string]string{
		"Accept": request.Accept, "Accept-Encoding": request.AcceptEncoding, "Content-Type": request.ContentType,
	} {
		if value != "" {
			outgoing.Header.Set(name, value)
		}
	}
	return outgoing, nil
}
