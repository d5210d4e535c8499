// Package server answers peers. It identifies the caller, judges the request,
// applies the caller's limits, and only then asks the API server.
package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/callers"
	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/emptylist"
	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/requests"
	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/telemetry"
	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/upstream"
	"github.com/deckhouse-mesh/istio/lib/connlimit"
	"github.com/deckhouse-mesh/istio/lib/inflight"
)

const (
	// requestTimeout bounds all requests except watches, which the API server ends.
	requestTimeout = 2 * time.Minute
	// watchGrace is the time beyond its own after which the proxy ends a watch.
	watchGrace = 10 * time.Second
	// maxWholeLists of one peer are answered at a time. All peers are one account to the API server, which answers their
	// requests in turn: lists of everything would delay everyone's. An istiod that starts sends about ten.
	maxWholeLists = 20
	// fullPeers can have all that one may have at the same time. The memory limit is above what ten of them can make the
	// proxy hold (BenchmarkHostilePeersThatDoNotRead); where there are more, shares of half of it are guaranteed.
	fullPeers = 10
	// statusCallerGone counts callers that have disconnected and get no answer.
	statusCallerGone = 499
)

// Why a request ends before its answer does.
var (
	errWithdrawn = errors.New("the peer is no longer permitted")
	errStopping  = errors.New("the proxy is stopping")
	errTooLong   = errors.New("the request has taken too long")
)

// Options of a Handler.
type Options struct {
	Identifier callers.Identifier
	Judge      requests.Judge
	Upstream   *upstream.Server
	// Ready returns nil once the accepted peers are known.
	Ready func() error
	// MaxRequests and MaxWatches are what one peer can have in flight.
	MaxRequests, MaxWatches int
	// Peers counts those that may use the proxy.
	Peers func() int
	// WriteTimeout is how long a peer may take to accept one piece of an answer.
	WriteTimeout time.Duration
	Metrics      *telemetry.Metrics
	Log          *slog.Logger
}

// Handler is the proxy. Use NewHandler.
type Handler struct {
	Options
	requests, watches, wholeLists *inflight.Limit
	audit                         *audit

	stopping chan struct{}
	stop     sync.Once
}

// NewHandler makes a Handler.
func NewHandler(options Options) *Handler {
	return &Handler{
		Options:    options,
		requests:   inflight.NewSharedLimit(shares(options.MaxRequests, options.Peers)),
		watches:    inflight.NewSharedLimit(shares(options.MaxWatches, options.Peers)),
		wholeLists: inflight.NewSharedLimit(shares(maxWholeLists, options.Peers)),
		audit:      newAudit(options.Log, time.Now),
		stopping:   make(chan struct{}),
	}
}

// shares of peers, of which one may have ofOne, and all together as much as memory allows.
func shares(ofOne int, peers func() int) inflight.Shares {
	return inflight.Shares{Total: fullPeers * ofOne, OfOne: ofOne, Callers: peers}
}

// Stop ends all watches, so that their callers ask another replica, and accepts no
// more.
func (h *Handler) Stop() { h.stop.Do(func() { close(h.stopping) }) }

// exchange is one request and its answer.
type exchange struct {
	*Handler
	w http.ResponseWriter
	r *http.Request

	// peer is the zero one until the caller is identified.
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
		// Also for a body that is rejected, and that net/http then reads to its end.
		// Only recorders in tests do not support it.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	}
	if code = e.serve(); code == statusCallerGone {
		panic(http.ErrAbortHandler) // else net/http would answer 200 on a connection that may still be read
	}
}

// serve answers and returns the status code. A caller learns nothing, not even
// which requests are allowed, before it is identified as a peer.
func (e *exchange) serve() int {
	select {
	case <-e.stopping:
		return e.later("stopping", "this replica is stopping; retry at another one")
	default:
	}
	if err := e.Ready(); err != nil {
		return e.later("not-ready", "the proxy does not know its peers yet; retry in a few seconds")
	}
	peer, err := e.Identifier.Identify(e.r)
	if err != nil {
		connlimit.MarkUnidentified(e.r.Context())
		return e.unauthorized(err)
	}
	e.peer, e.name = peer, peer.Name
	done, reached := connlimit.MarkInUse(e.r.Context(), peer.ClusterUUID)
	if reached != inflight.None {
		return e.tooManyConnections(reached)
	}
	defer done()

	if upgrades(e.r) {
		return e.reject(&requests.Rejection{Reason: "upgrade", Code: http.StatusForbidden, Message: "connections cannot be upgraded"})
	}
	asked, rejection := e.Judge.Judge(e.r.Method, e.r.RequestURI)
	if rejection == nil {
		rejection = checkBody(e.r)
	}
	if rejection != nil {
		return e.reject(rejection)
	}
	e.asked = asked

	what, limit, inFlight := "requests", e.requests, e.Metrics.InFlight
	if asked.Verb == requests.Watch {
		what, limit, inFlight = "watches", e.watches, e.Metrics.Watches
	}
	release, reached := limit.Take(peer.ClusterUUID)
	if reached != inflight.None {
		return e.tooMany(what, limit.OfOne(), reached)
	}
	defer release()
	if asked.Whole() {
		releaseList, reached := e.wholeLists.Take(peer.ClusterUUID)
		if reached != inflight.None {
			return e.tooMany("lists without pages", e.wholeLists.OfOne(), reached)
		}
		defer releaseList()
	}
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

// whileAllowed is a context that ends when the caller disconnects, loses its
// permission or the request takes too long; that of a watch also when the proxy stops.
func (e *exchange) whileAllowed() (context.Context, context.CancelFunc) {
	limit, stopping := requestTimeout, (<-chan struct{})(nil)
	if e.asked.Verb == requests.Watch {
		limit, stopping = e.asked.WatchTime()+watchGrace, e.stopping
	}
	limited, expire := context.WithTimeoutCause(e.r.Context(), limit, errTooLong)
	ctx, cancel := context.WithCancelCause(limited)
	go func() {
		for {
			changed := e.peer.Changed()
			if !e.peer.Allowed() {
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
			case <-changed:
			}
		}
	}()
	return ctx, expire
}

func (e *exchange) answerEmpty(ctx context.Context) int {
	setCommonHeaders(e.w)
	writer := e.deadlineWriter(ctx)
	defer writer.finish()
	code, err := emptylist.Answer(ctx, writer, e.asked, e.r.Header.Get("Accept"))
	e.Metrics.Sent.WithLabelValues(e.name).Add(float64(writer.sent))
	switch {
	case code == http.StatusNotAcceptable:
		return e.reject(&requests.Rejection{Reason: "accept", Code: code, Message: "the proxy sends only JSON and Kubernetes' protobuf"})
	case errors.Is(err, errEnded) && e.asked.Verb == requests.Watch:
		return code // it ends like any other watch
	case err != nil && code == 0:
		e.Log.Error("cannot answer", "peer", e.name, "resource", e.asked.Label(), "error", err)
		return e.status(http.StatusInternalServerError, "the proxy cannot make this answer")
	case err != nil:
		return statusCallerGone
	}
	return code
}

// upgrades is true for a request that would change its connection to another protocol.
func upgrades(r *http.Request) bool {
	return r.Method == http.MethodConnect || r.Header.Get("Upgrade") != "" || httpguts.HeaderValuesContainsToken(r.Header.Values("Connection"), "upgrade")
}

// checkBody rejects a body in a request that reads, and one without a length.
func checkBody(r *http.Request) *requests.Rejection {
	switch {
	case r.Method != http.MethodPost && (r.ContentLength != 0 || !slices.Contains([]string{"", "0"}, r.Header.Get("Content-Length"))):
		return &requests.Rejection{Reason: "body", Code: http.StatusBadRequest, Message: "a request that reads must not have a body"}
	// There must be one length only. With chunks there could be two, and a proxy in
	// front might have used the other.
	case r.ContentLength < 0:
		return &requests.Rejection{Reason: "body", Code: http.StatusLengthRequired, Message: "the body of a review must have a Content-Length"}
	default:
		return nil
	}
}
