// Package probe asks what a demonstration or a test wants to know from inside a
// Pod: when requests begin to be answered and when they end, who both sides of
// one were, and what a server says to a TLS client that it does not trust.
package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// VerifiedPeerHeader of a response names the server that the caller's proxy verified, where the proxy is configured to add it.
	VerifiedPeerHeader = "X-Verified-Peer"

	// inFlightLimit bounds the requests at once, should none of them end.
	inFlightLimit = 100
	// bodyLimit is how much of a body is read; Istio's echo server answers with 1 or 2 KiB.
	bodyLimit = 64 << 10
)

// Call is one request on a connection of its own, and what became of it.
type Call struct {
	// Began before the name was looked up; Ended when the body was read, or the error known.
	Began time.Time `json:"began"`
	Ended time.Time `json:"ended"`
	// Status is 0 when there was no answer: Error then says why.
	Status int    `json:"status,omitempty"`
	Error  string `json:"error,omitempty"`
	// Caller is the SPIFFE ID that the server saw, Server the one that the caller's proxy verified.
	Caller string `json:"caller,omitempty"`
	Server string `json:"server,omitempty"`
	// Cluster and Pod of the server, as it says.
	Cluster string `json:"cluster,omitempty"`
	Pod     string `json:"pod,omitempty"`
}

// Answered is true for a request that the application answered.
func (c Call) Answered() bool { return c.Status == http.StatusOK }

// outcome is what calls are compared by.
func (c Call) outcome() string {
	return fmt.Sprint(c.Status, " ", c.Error, " ", c.Caller, " ", c.Server, " ", c.Cluster)
}

// Caller makes calls.
type Caller struct {
	URL string
	// Interval between the beginnings of two calls.
	Interval time.Duration
	// Timeout of a call.
	Timeout time.Duration
}

// Run calls until the context ends, and reports each call whose outcome is
// another than that of the call before it, in the order in which they ended.
func (c Caller) Run(ctx context.Context, report func(Call)) {
	var (
		mu      sync.Mutex
		running sync.WaitGroup
		last    string
	)
	slots := make(chan struct{}, inFlightLimit)
	ticker := time.NewTicker(c.Interval)
	defer ticker.Stop()
	defer running.Wait()
	for {
		select {
		case slots <- struct{}{}:
			running.Go(func() {
				defer func() { <-slots }()
				call := c.Once(ctx)
				mu.Lock()
				defer mu.Unlock()
				if ctx.Err() == nil && call.outcome() != last {
					last = call.outcome()
					report(call)
				}
			})
		default: // all of them are waiting
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Once makes one call.
func (c Caller) Once(ctx context.Context) Call {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	call := Call{Began: time.Now()}
	body, header, err := c.get(ctx, &call)
	call.Ended = time.Now()
	if err != nil {
		call.Error = explain(err)
		return call
	}
	if !call.Answered() {
		call.Error = firstLine(body)
		return call
	}
	fields := echoFields(body)
	call.Server = header.Get(VerifiedPeerHeader)
	call.Caller = callerOf(fields["RequestHeader=X-Forwarded-Client-Cert"])
	call.Cluster, call.Pod = fields["Cluster"], fields["Hostname"]
	return call
}

func (c Caller) get(ctx context.Context, call *Call) (string, http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL, nil)
	if err != nil {
		return "", nil, err
	}
	transport := &http.Transport{
		DisableKeepAlives: true, DialContext: dialAbsolute,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
	}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = response.Body.Close() }()
	call.Status = response.StatusCode
	body, err := io.ReadAll(io.LimitReader(response.Body, bodyLimit))
	return string(body), response.Header, err
}

// dialAbsolute looks the name up as it is: a Pod's resolver would try each of its
// search domains before, a hundred times a second.
func dialAbsolute(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if net.ParseIP(host) == nil && strings.Contains(host, ".") {
		host = strings.TrimSuffix(host, ".") + "."
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, network, net.JoinHostPort(host, port))
}

// explain says what went wrong, the same words for the same reason.
func explain(err error) string {
	var name *net.DNSError
	var operation *net.OpError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.As(err, &name):
		return "the name is not known"
	case errors.As(err, &operation):
		return operation.Op + ": " + operation.Err.Error()
	}
	return err.Error()
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
