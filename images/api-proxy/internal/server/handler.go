// Package server answers neighbours: who asks, what is asked, whether there is
// room for it, and only then the API server.
package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/callers"
	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/empty"
	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/limits"
	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/requests"
	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/telemetry"
	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/upstream"
)

const (
	// requestTimeout bounds everything but watches, whose time the API server keeps.
	requestTimeout = 2 * time.Minute
	// watchGrace is what a watch gets beyond the time it asked for, before the proxy ends it.
	watchGrace = 10 * time.Second
	// statusPeerGone is how a peer that went away is counted; it gets no answer.
	statusPeerGone = 499
)

// Why a request ends before its answer does.
var (
	errWithdrawn = errors.New("the peer has lost its permission")
	errStopping  = errors.New("the proxy is stopping")
	errTooLong   = errors.New("the request has taken too long")
)

// Identifier tells which neighbour a caller is. Its error goes to the caller.
type Identifier interface {
	Identify(r *http.Request) (callers.Peer, error)
}

// Options of a Handler.
type Options struct {
	Identifier Identifier
	Judge      requests.Judge
	Upstream   *upstream.Server
	// Ready returns nil once it is known who the neighbours are.
	Ready func() error
	// MaxRequests and MaxWatches are what one neighbour can have going at a time.
	MaxRequests, MaxWatches int
	// WriteTimeout is how long a peer may take to accept one piece of an answer.
	WriteTimeout time.Duration
	Metrics      *telemetry.Metrics
	Log          *slog.Logger
}

// Handler is the proxy. Use NewHandler.
type Handler struct {
	Options
	requests, watches *limits.Places
	audit             *audit

	stopping chan struct{}
	stop     sync.Once
}

// NewHandler makes a Handler.
func NewHandler(options Options) *Handler {
	return &Handler{
		Options:  options,
		requests: limits.New(options.MaxRequests),
		watches:  limits.New(options.MaxWatches),
		audit:    newAudit(options.Log, time.Now),
		stopping: make(chan struct{}),
	}
}

// Stop ends all watches, so that their holders ask another replica, and
// accepts no more.
func (h *Handler) Stop() { h.stop.Do(func() { close(h.stopping) }) }

// Stopping tells whether Stop was called.
func (h *Handler) Stopping() bool {
	select {
	case <-h.stopping:
		return true
	default:
		return false
	}
}

// exchange is one request on its way to an answer.
type exchange struct {
	*Handler
	w http.ResponseWriter
	r *http.Request

	// peer is the zero one until the caller has been identified.
	peer  callers.Peer
	name  string
	asked requests.Request
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e := &exchange{Handler: h, w: w, r: r}
	code := http.StatusInternalServerError
	defer func() { // also when the answer is aborted
		h.Metrics.Requests.WithLabelValues(e.name, string(e.asked.Verb), e.asked.Label(), strconv.Itoa(code)).Inc()
	}()
	if r.ContentLength != 0 {
		// Also for a body that is refused, and that net/http then reads to its end.
		// Only recorders in tests do not support it.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	}
	if code = e.serve(); code == statusPeerGone {
		panic(http.ErrAbortHandler) // else net/http would say 200 to a connection that may yet be read
	}
}

// serve answers and returns the status code. Nothing is told to a caller, not
// even what can be asked, before it is known to be a neighbour.
func (e *exchange) serve() int {
	if e.Stopping() {
		return e.later("stopping", "this replica is stopping; another one answers")
	}
	if err := e.Ready(); err != nil {
		return e.later("not-ready", "it is not known yet who may ask; come back in a few seconds")
	}
	peer, err := e.Identifier.Identify(e.r)
	if err != nil {
		strangerAsks(e.r.Context())
		return e.unauthorized(err)
	}
	defer neighbourAsks(e.r.Context())()
	e.peer, e.name = peer, peer.Name()

	if upgrades(e.r) {
		return e.refuse(&requests.Refusal{Reason: "upgrade", Code: http.StatusForbidden, Message: "connections cannot be upgraded"})
	}
	asked, refusal := e.Judge.Judge(e.r.Method, e.r.RequestURI)
	if refusal == nil {
		refusal = checkBody(e.r)
	}
	if refusal != nil {
		return e.refuse(refusal)
	}
	e.asked = asked

	places, inFlight := e.requests, e.Metrics.InFlight
	if asked.Verb == requests.Watch {
		places, inFlight = e.watches, e.Metrics.Watches
	}
	free, ok := places.Take(peer.ClusterUUID())
	if !ok {
		return e.tooMany()
	}
	defer free()
	gauge := inFlight.WithLabelValues(e.name)
	gauge.Inc()
	defer gauge.Dec()

	ctx, cancel := e.whileAllowed()
	defer cancel()
	if asked.Empty {
		return e.answerEmpty(ctx)
	}
	return e.forward(ctx)
}

// whileAllowed is a context that ends when the peer goes away, loses its
// permission or has taken too long; that of a watch also when the proxy stops.
func (e *exchange) whileAllowed() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(e.r.Context())
	limit, stopping := requestTimeout, (<-chan struct{})(nil)
	if e.asked.Verb == requests.Watch {
		// The judge has set it: a number within bounds.
		seconds, _ := strconv.Atoi(e.asked.Query.Get("timeoutSeconds"))
		limit, stopping = time.Duration(seconds)*time.Second+watchGrace, e.stopping
	}
	go func() {
		over := time.NewTimer(limit)
		defer over.Stop()
		for {
			changed := e.peer.Changed()
			if !e.peer.Stands() {
				e.Metrics.Withdrawn.Inc()
				cancel(errWithdrawn)
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-stopping:
				cancel(errStopping)
				return
			case <-over.C:
				cancel(errTooLong)
				return
			case <-changed:
			}
		}
	}()
	return ctx, func() { cancel(context.Canceled) }
}

func (e *exchange) answerEmpty(ctx context.Context) int {
	headersOfOurs(e.w)
	writer := e.patientWriter(ctx)
	defer writer.finish()
	code, err := empty.Answer(ctx, writer, e.asked, e.r.Header.Get("Accept"))
	e.Metrics.Sent.WithLabelValues(e.name).Add(float64(writer.sent))
	switch {
	case code == http.StatusNotAcceptable:
		return e.refuse(&requests.Refusal{Reason: "accept", Code: code, Message: "only JSON and Kubernetes' protobuf can be sent"})
	case errors.Is(err, errOver) && e.asked.Verb == requests.Watch:
		return code // it ends like any watch
	case err != nil && code == 0:
		e.Log.Error("cannot answer", "peer", e.name, "resource", e.asked.Label(), "error", err)
		return e.status(http.StatusInternalServerError, "the proxy cannot make this answer")
	case err != nil:
		return statusPeerGone
	}
	return code
}

// upgrades tells whether a request would make its connection something else
// than requests and answers.
func upgrades(r *http.Request) bool {
	if r.Method == http.MethodConnect || r.Header.Get("Upgrade") != "" {
		return true
	}
	for _, value := range r.Header.Values("Connection") {
		for token := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(token), "upgrade") {
				return true
			}
		}
	}
	return false
}

// checkBody refuses a body where none belongs, and one without a length.
func checkBody(r *http.Request) *requests.Refusal {
	switch {
	case r.Method != http.MethodPost && (r.ContentLength != 0 || !slices.Contains([]string{"", "0"}, r.Header.Get("Content-Length"))):
		return &requests.Refusal{Reason: "body", Code: http.StatusBadRequest, Message: "a request that reads has no body"}
	// A length can be told in one way only. With chunks it could be told in two,
	// and whatever stands in front of the proxy might have believed the other.
	case r.ContentLength < 0:
		return &requests.Refusal{Reason: "body", Code: http.StatusLengthRequired, Message: "the body of a review comes with its length"}
	default:
		return nil
	}
}
