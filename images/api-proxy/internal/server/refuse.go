package server

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/callers"
	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/requests"
	"github.com/deckhouse-mesh/istio/lib/remotereader"
)

// retrySeconds is when a refused client may come back; client-go then does by itself.
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

// refuse is for what a known neighbour may not do.
func (e *exchange) refuse(refusal *requests.Refusal) int {
	e.note(string(refusal.Reason), refusal.Code)
	return e.status(refusal.Code, refusal.Message)
}

// unauthorized tells the caller what is missing, and nothing of what is known here.
func (e *exchange) unauthorized(cause error) int {
	reason, message := callers.Reason(cause), cause.Error()
	if cause == errWithdrawn { //nolint:errorlint // it is ours, and never wrapped
		reason, message = "withdrawn", "the caller may not use this proxy any more"
	}
	e.note(reason, http.StatusUnauthorized)
	challenge := `Bearer realm="istio-api"`
	if reason != "no-credentials" {
		challenge += `, error="invalid_token", error_description="` + strings.ReplaceAll(message, `"`, `'`) + `"`
	}
	e.w.Header().Set("WWW-Authenticate", challenge)
	return e.status(http.StatusUnauthorized, message)
}

func (e *exchange) tooMany() int {
	e.note("limit", http.StatusTooManyRequests)
	e.w.Header().Set("Retry-After", retrySeconds)
	return e.status(http.StatusTooManyRequests, "this cluster has too many requests going at the proxy; each ends before another begins")
}

// later is 503. Without a reason it is no refusal of the proxy's.
func (e *exchange) later(reason, message string) int {
	if reason != "" {
		e.Metrics.Refused.WithLabelValues(reason).Inc()
	}
	e.w.Header().Set("Retry-After", retrySeconds)
	return e.status(http.StatusServiceUnavailable, message)
}

// note counts a refusal and writes its audit line.
func (e *exchange) note(reason string, code int) {
	e.Metrics.Refused.WithLabelValues(reason).Inc()
	who := ""
	if e.name != "" {
		who = e.peer.ClusterUUID()
	}
	e.audit.refused(who, e.name, e.r, reason, code)
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
	headersOfOurs(e.w)
	header := e.w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	// A body that was not asked for is not read either. In HTTP/2 that ends with the stream.
	if e.r.ContentLength != 0 && e.r.ProtoMajor == 1 {
		header.Set("Connection", "close")
	}
	writer := e.patientWriter(context.WithoutCancel(e.r.Context())) // whoever has sent all it wanted may still read
	defer writer.finish()
	writer.WriteHeader(code)
	_, _ = writer.Write(body)
	return code
}

// headersOfOurs are on every answer.
func headersOfOurs(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
}
