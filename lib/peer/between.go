package peer

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
)

// statusError describes an answer that is neither 200 nor an expected 304.
func statusError(address string, answer *http.Response, proved bool) *Error {
	failed := &Error{Reason: statusReason(answer.StatusCode, proved), URL: address, StatusCode: answer.StatusCode}
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		if failed.Reason == Unauthorized {
			failed.Err = clockDifference(answer)
		}
		if failed.Err != nil {
			failed.Reason = ClockDiffers
		}
	case http.StatusRequestEntityTooLarge, http.StatusRequestHeaderFieldsTooLarge, http.StatusRequestTimeout, http.StatusTooManyRequests,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		failed.Between = !isPeers(answer)
		failed.server = serverName.FindString(answer.Header.Get("Server"))
	}
	return failed
}

// isPeers is true for a rejection by the peer's metadata-exporter, API proxy or API server, which
// is a JSON object with the cause. Load balancers answer with a page.
func isPeers(rejection *http.Response) bool {
	body, err := io.ReadAll(io.LimitReader(rejection.Body, maxReasonBytes))
	if err != nil {
		return false
	}
	var cause struct {
		Error string `json:"error"`
		Kind  string `json:"kind"`
	}
	return json.Unmarshal(body, &cause) == nil && (cause.Error != "" || cause.Kind == "Status")
}

// serverName is the name of a product, without its version: it must not change from try to try.
var serverName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,31}`)

// answered is the status, and who has answered with it.
func (e *Error) answered() string {
	status := fmt.Sprintf("%d %s", e.StatusCode, http.StatusText(e.StatusCode))
	switch {
	case !e.Between:
		return status
	case e.server != "":
		return fmt.Sprintf("%s, from a load balancer or proxy between the clusters, %q", status, e.server)
	default:
		return status + ", from a load balancer or proxy between the clusters"
	}
}

// betweenHints are what a person can do about statuses of load balancers and proxies.
var betweenHints = map[int]string{
	http.StatusRequestEntityTooLarge: "raise the limit there: this cluster's requests have no body, and headers of some 8 KiB at most",
	http.StatusRequestHeaderFieldsTooLarge: "raise the limit of headers there: a token and, where it adds the client certificate, that one have some 8 KiB; " +
		"the peer's own programs accept more",
	http.StatusRequestTimeout:     "raise its time-outs: answers are held for a minute at most",
	http.StatusTooManyRequests:    "raise its limit of requests for this cluster's address",
	http.StatusBadGateway:         "it does not reach the peer's metadata-exporter: check that it runs, and the address behind the load balancer; the last known state stays in force",
	http.StatusServiceUnavailable: "it has no metadata-exporter to pass the request to: check that it runs, and its readiness; the last known state stays in force",
	http.StatusGatewayTimeout:     "the peer's metadata-exporter does not answer it in time: raise its time-outs above a minute; the last known state stays in force",
}

// hint is what a person can do.
func (e *Error) hint() string {
	if hint := betweenHints[e.StatusCode]; e.Between && hint != "" {
		return hint
	}
	return hints[e.Reason]
}
