package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/callers"
	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/requests"
	"github.com/deckhouse-mesh/istio/lib/inflight"
	"github.com/deckhouse-mesh/istio/lib/remotereader"
)

// retrySeconds is when a rejected client may retry; client-go then does by itself.
const retrySeconds = "2"

// statusReasons are the words of the Kubernetes API for status codes.
var statusReasons = map[int]metav1.StatusReason{
	http.StatusBadRequest:            metav1.StatusReasonBadRequest,
	http.StatusUnauthorized:          metav1.StatusReasonUnauthorized,
	http.StatusForbidden:             metav1.StatusReasonForbidden,
	http.StatusNotFound:              metav1.StatusReasonNotFound,
	http.StatusNotAcceptable:         metav1.StatusReasonNotAcceptable,
	http.StatusLengthRequired:        metav1.StatusReasonBadRequest,
	http.StatusRequestEntityTooLarge: metav1.StatusReasonRequestEntityTooLarge,
	http.StatusUnsupportedMediaType:  metav1.StatusReasonUnsupportedMediaType,
	http.StatusTooManyRequests:       metav1.StatusReasonTooManyRequests,
	http.StatusInternalServerError:   metav1.StatusReasonInternalError,
	http.StatusServiceUnavailable:    metav1.StatusReasonServiceUnavailable,
	http.StatusGatewayTimeout:        metav1.StatusReasonTimeout,
}

// reject answers a peer whose request is not allowed.
func (e *exchange) reject(rejection *requests.Rejection) int {
	e.note(string(rejection.Reason), rejection.Code)
	return e.status(rejection.Code, rejection.Message)
}

// unauthorized names what is missing to the caller, and reveals nothing of what is known here.
func (e *exchange) unauthorized(cause error) int {
	reason, message := callers.Reason(cause), cause.Error()
	if cause == errWithdrawn { //nolint:errorlint // it is ours, and never wrapped
		reason, message = "withdrawn", "the caller is no longer permitted to use this proxy"
	}
	e.note(reason, http.StatusUnauthorized)
	challenge := `Bearer realm="istio-api"`
	if reason != "no-credentials" {
		challenge += `, error="invalid_token", error_description="` + strings.ReplaceAll(message, `"`, `'`) + `"`
	}
	e.w.Header().Set("WWW-Authenticate", challenge)
	return e.status(http.StatusUnauthorized, message)
}

// tooMany answers a peer that has reached its limit of requests or watches, or what is left of that of all peers.
func (e *exchange) tooMany(what string, limit int, reached inflight.Bound) int {
	message := fmt.Sprintf("too many concurrent %s from this cluster (limit %d); retry when one has finished", what, limit)
	if reached == inflight.OfAll {
		message = fmt.Sprintf("all clusters together have too many concurrent %s (limit %d), and this one has those that are guaranteed to it; retry later",
			what, fullPeers*limit)
	}
	return e.limited(what, message)
}

// tooManyConnections answers a peer whose requests are on as many connections as it may use.
func (e *exchange) tooManyConnections(reached inflight.Bound) int {
	message := "this cluster has requests on too many connections: use HTTP/2, which has many requests on one, or retry when one has finished"
	if reached == inflight.OfAll {
		message = "all clusters together have requests on too many connections, and this one on those that are guaranteed to it: " +
			"use HTTP/2, which has many requests on one, or retry later"
	}
	return e.limited("connections", message)
}

// limited answers a peer that has reached a limit.
func (e *exchange) limited(what, message string) int {
	e.Metrics.Limited.WithLabelValues(e.name, what).Inc()
	e.note("limit", http.StatusTooManyRequests)
	e.w.Header().Set("Retry-After", retrySeconds)
	return e.status(http.StatusTooManyRequests, message)
}

// later is 503. Without a reason it is not counted as a rejection.
func (e *exchange) later(reason, message string) int {
	if reason != "" {
		e.Metrics.Rejected.WithLabelValues(reason).Inc()
	}
	e.w.Header().Set("Retry-After", retrySeconds)
	return e.status(http.StatusServiceUnavailable, message)
}

// note counts a rejection and writes its audit line.
func (e *exchange) note(reason string, code int) {
	e.Metrics.Rejected.WithLabelValues(reason).Inc()
	clusterUUID := ""
	if e.name != "" {
		clusterUUID = e.peer.ClusterUUID
	}
	e.audit.rejected(clusterUUID, e.name, e.r, reason, code)
}

// status answers as the API server does, in JSON, which every client of it reads.
func (e *exchange) status(code int, message string) int {
	body, err := json.Marshal(metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure, Code: int32(code), Reason: statusReasons[code], Message: remotereader.MessagePrefix + message,
	})
	if err != nil { // a struct of strings can always be encoded
		panic(err)
	}
	body = append(body, '\n')
	setCommonHeaders(e.w)
	header := e.w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	// A rejected body is not read. In HTTP/2 that ends with the stream.
	if e.r.ContentLength != 0 && e.r.ProtoMajor == 1 {
		header.Set("Connection", "close")
	}
	writer := e.deadlineWriter(context.WithoutCancel(e.r.Context())) // a caller that has closed its side may still read
	defer writer.finish()
	writer.WriteHeader(code)
	_, _ = writer.Write(body)
	return code
}

// setCommonHeaders sets the headers of every answer.
func setCommonHeaders(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
}
