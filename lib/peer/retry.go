package peer

import (
	"context"
	"errors"
	"io"
	"net/http"
	"syscall"
	"time"
)

const (
	// retryDelay is between a request and the one that repeats it.
	retryDelay = 300 * time.Millisecond
	// quickFailure is how long a failed request may have taken that is repeated.
	quickFailure = time.Second
)

// isPassing is true for failures that may pass at once. A limit of the peer is one.
func isPassing(err error) bool {
	var failed *Error
	if !errors.As(err, &failed) {
		return false
	}
	switch failed.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusTooManyRequests:
		return true
	case 0:
		for _, cause := range []error{syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, io.EOF, io.ErrUnexpectedEOF} {
			if errors.Is(failed, cause) {
				return true
			}
		}
	}
	return false
}

// maxFailing bounds what a Client remembers of documents that could not be fetched.
const maxFailing = 10_000

func (c *Client) hasFailed(target Target, request Request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failing[target.URL+" "+request.Path]
}

func (c *Client) noteOutcome(target Target, request Request, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := target.URL + " " + request.Path
	if err == nil {
		delete(c.failing, key)
		return
	}
	if len(c.failing) >= maxFailing { // of resources deleted since
		clear(c.failing)
	}
	c.failing[key] = true
}

// pause returns false when ctx ended first.
func pause(ctx context.Context, duration time.Duration) bool {
	select {
	case <-time.After(duration):
		return true
	case <-ctx.Done():
		return false
	}
}
