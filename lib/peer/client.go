// Package peer fetches documents from peers. It does not trust the answers: it
// bounds sizes and times and follows no redirect; package metadata decides whether
// the content is acceptable.
package peer

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// DefaultMaxBytes bounds a document after decompression.
	DefaultMaxBytes = 4 << 20
	// MaxWait is the longest a peer may be asked to hold an answer (contract, "Metadata").
	MaxWait = 55 * time.Second

	requestTimeout   = 10 * time.Second
	transportIdleFor = 10 * time.Minute
)

// Target is a metadata endpoint and how to trust it, as an IstioFederation or
// IstioMulticluster names it.
type Target struct {
	// URL of the endpoint, with or without a slash at the end.
	URL string
	// CA is a PEM bundle that is trusted instead of the system's roots; empty: those.
	CA string
	// InsecureSkipVerify switches verification of the TLS certificate off.
	InsecureSkipVerify bool
}

// Request names one document of a Target.
type Request struct {
	// Path relative to the endpoint, for example metadata.FederationPath.
	Path string
	// IfNoneMatch is the ETag of the document that the caller has; empty asks unconditionally.
	IfNoneMatch string
	// Token is a bearer token; empty for public documents.
	Token string
	// Wait asks the peer to hold the answer until the document changes (RFC
	// 7240 "wait"); it takes effect with IfNoneMatch only. At most MaxWait.
	Wait time.Duration
	// MaxBytes bounds the body; 0 means DefaultMaxBytes.
	MaxBytes int64
	// Discard has the body checked and not retained: what is read of many peers at once then takes the same
	// memory, however much they send.
	Discard bool
}

// Response is a peer's answer with status 200 or 304.
type Response struct {
	// NotModified is true for 304: Body is empty, the document that the caller has is current.
	NotModified bool
	// WaitApplied is true when the peer states that it applied Request.Wait.
	WaitApplied bool
	// ETag of the document; empty when the peer sends none.
	ETag string
	// Body of a 200, unless Request.Discard.
	Body []byte
	// Digest of a discarded Body: equal bytes have equal ones.
	Digest string
}

// Client fetches documents, with one connection pool for each way of trusting
// a peer and each client certificate. It is safe for concurrent use.
type Client struct {
	now         func() time.Time
	certificate atomic.Pointer[tls.Certificate]

	mu         sync.Mutex
	transports map[[sha256.Size]byte]*pooledTransport
	unwanted   unwanted
	renewals   renewals
	// failing are the documents that could not be fetched the last time, by URL and path.
	failing map[string]bool
}

// NewClient returns a Client with empty connection pools.
func NewClient() *Client {
	return &Client{
		now: time.Now, transports: map[[sha256.Size]byte]*pooledTransport{},
		unwanted: unwanted{}, renewals: renewals{hosts: map[string]renewal{}}, failing: map[string]bool{},
	}
}

// Get fetches one document. Every error is an *Error.
//
// It repeats a request whose failure may pass at once: a load balancer has
// no backend for the moment, or a Pod of the peer ends. Without that, every such
// moment would be a change of conditions, metrics and Events. What failed the last
// time is not repeated: a peer that stays away costs one request, as before.
func (c *Client) Get(ctx context.Context, target Target, request Request) (*Response, error) {
	began := time.Now()
	response, err := c.get(ctx, target, request)
	if err != nil && isPassing(err) && time.Since(began) < quickFailure && !c.hasFailed(target, request) && pause(ctx, retryDelay) {
		response, err = c.get(ctx, target, request)
	}
	c.noteOutcome(target, request, err)
	return response, err
}

func (c *Client) get(ctx context.Context, target Target, request Request) (*Response, error) {
	address, err := documentURL(target.URL, request.Path)
	if err != nil {
		return nil, &Error{Reason: InvalidEndpoint, URL: target.URL, Err: err}
	}
	wait := min(request.Wait, MaxWait)
	ctx, cancel := context.WithTimeout(ctx, wait+requestTimeout)
	defer cancel()

	httpRequest, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, &Error{Reason: InvalidEndpoint, URL: address, Err: err}
	}
	httpRequest.Header.Set("Accept", "application/json")
	httpRequest.Header.Set("User-Agent", "istio-module")
	if request.Token != "" {
		httpRequest.Header.Set("Authorization", "Bearer "+request.Token)
	} else if user := httpRequest.URL.User; user != nil {
		password, _ := user.Password()
		httpRequest.SetBasicAuth(user.Username(), password)
	}
	if request.IfNoneMatch != "" {
		httpRequest.Header.Set("If-None-Match", request.IfNoneMatch)
		if wait > 0 {
			httpRequest.Header.Set("Prefer", "wait="+strconv.Itoa(int(wait.Seconds())))
		}
	}

	httpResponse, err := c.do(httpRequest, target)
	if err != nil {
		return nil, err
	}
	defer httpResponse.Body.Close()
	return readResponse(address, httpResponse, request)
}

func readResponse(address string, httpResponse *http.Response, request Request) (*Response, error) {
	response := &Response{
		ETag:        usableETag(httpResponse.Header.Get("ETag")),
		WaitApplied: strings.HasPrefix(httpResponse.Header.Get("Preference-Applied"), "wait"),
	}
	switch {
	// An unrequested 304 would confirm a document that this cluster does not have.
	case httpResponse.StatusCode == http.StatusNotModified && request.IfNoneMatch != "":
		response.NotModified = true
		return response, nil
	case httpResponse.StatusCode != http.StatusOK:
		return nil, statusError(address, httpResponse, request.Token != "")
	}

	if err := readBody(address, httpResponse, request, response); err != nil {
		return nil, err
	}
	return response, nil
}

func documentURL(endpoint, path string) (string, error) {
	parsed, err := url.Parse(endpoint)
	if err != nil {
		return "", fmt.Errorf("parse metadata endpoint: %w", err)
	}
	if parsed.Scheme != "https" || parsed.Host == "" {
		return "", fmt.Errorf("metadata endpoint %q is not an https URL with a host", endpoint)
	}
	return parsed.JoinPath(path).String(), nil
}
