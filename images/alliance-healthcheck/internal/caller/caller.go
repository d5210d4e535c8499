// Package caller calls peers through the mesh, and finds out which part of the way has failed.
package caller

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/deckhouse-mesh/istio/lib/echo"
	"github.com/deckhouse-mesh/istio/lib/healthcheck"
)

const (
	// maxBodyBytes is read of an answer: Envoy explains a failure in a line.
	maxBodyBytes = 4 << 10
	// maxDetail bytes of other people's text are in a message.
	maxDetail = 500
)

// Caller calls peers through the sidecar that listens on a socket of the Pod's own.
// It is safe for concurrent use.
type Caller struct {
	client  *http.Client
	timeout time.Duration
}

// New makes a Caller whose calls end after timeout.
func New(socket string, timeout time.Duration) *Caller {
	var dialer net.Dialer
	return &Caller{timeout: timeout, client: &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, "unix", socket)
			},
			DisableKeepAlives: true, DisableCompression: true,
		},
		// A peer must not send this cluster elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Call asks the peer's Service for an answer and judges it.
func (c *Caller) Call(ctx context.Context, target healthcheck.Target) healthcheck.Result {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	result := c.call(ctx, target)
	result.ClusterUUID = target.ClusterUUID
	return result
}

func (c *Caller) call(ctx context.Context, target healthcheck.Target) healthcheck.Result {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+target.Host+"/", nil)
	if err != nil {
		return nameUnknown(target.Host)
	}
	response, err := c.client.Do(request)
	if err != nil {
		return unanswered(ctx, err, c.timeout)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBodyBytes))
	if err != nil {
		return unanswered(ctx, err, c.timeout)
	}
	return judge(target, response.StatusCode, response.Header, echo.Text(string(body), maxBodyBytes))
}

// unanswered is the result of a call in which not even the sidecar answered.
func unanswered(ctx context.Context, err error, timeout time.Duration) healthcheck.Result {
	if ctx.Err() != nil {
		return healthcheck.Result{Reason: healthcheck.ReasonGatewayUnreachable, Message: fmt.Sprintf(
			"no answer within %s: packets to the peer's gateways are lost, or the peer is overloaded. %s", timeout, gatewayHint)}
	}
	return healthcheck.Result{Reason: healthcheck.ReasonProxyNotReady, Message: "the sidecar of alliance-healthcheck does not answer: " +
		echo.Text(err.Error(), maxDetail) + ". Look at container istio-proxy of the Pods of Deployment d8-istio/alliance-healthcheck."}
}
