// Package server answers neighbours: the prepared documents over TLS, with
// conditional requests, long polls and proofs of identity as the contract's section
// "Metadata" has them.
package server

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/documents"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/fields"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/neighbours"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/telemetry"
	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/tlsfiles"
)

const (
	// Prefix of every document's path; nothing is rewritten on the way here.
	Prefix = "/metadata/"

	// writeTimeout bounds sending one answer, not the time it was held.
	writeTimeout = 15 * time.Second
	retryAfter   = "5"
	// statusClientGone is how a caller that went away is counted; it gets no answer.
	statusClientGone = 499

	// frameSize is the most that goes into one frame of HTTP/2; with its header it fills 8 KiB.
	frameSize = 8<<10 - 9

	// Documents anyone may read can be held for this many callers at once, the
	// others for so many more. Beyond, callers are answered at once.
	maxPublicWaiters  = 1024
	maxPrivateWaiters = 8192
	// One remote address and one neighbour have so many of these places, which is
	// plenty for the replicas of an exporter (behind an Ingress the address is the
	// controller's, for all callers), and cannot take everybody's.
	maxPublicWaitersOfOne  = 64
	maxPrivateWaitersOfOne = 16
)

// Options of a Handler.
type Options struct {
	Documents  *documents.Set
	Neighbours *neighbours.Registry
	// ClusterUUID is the audience that tokens must have.
	ClusterUUID string
	// IngressClients are the authorities whose client certificates prove the
	// ingress controller, which may then speak for its callers; nil when none may.
	IngressClients *tlsfiles.Roots
	// Ready returns nil once the documents are complete.
	Ready   func() error
	Metrics *telemetry.Metrics
	Log     *slog.Logger
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// Handler serves the documents. Use NewHandler.
type Handler struct {
	routes         map[string]*route
	neighbours     *neighbours.Registry
	clusterUUID    string
	ingressClients *tlsfiles.Roots
	ready          func() error
	metrics        *telemetry.Metrics
	log            *slog.Logger
	failures       *rate.Limiter
	now            func() time.Time
	// verified are the tokens of neighbours that ask again and again.
	verified *authn.VerifiedTokens

	stopping chan struct{}
	stop     sync.Once

	served atomic.Uint64

	publicWaiters, privateWaiters waiters
}

// route is one document and who may read it.
type route struct {
	path     string
	document *documents.Document
	// audience is nil for a document that anyone may read.
	audience *audience
	// optional is true for a document that may be absent for good.
	optional bool
}

// NewHandler makes a Handler.
func NewHandler(options Options) *Handler {
	handler := &Handler{
		routes:         map[string]*route{},
		neighbours:     options.Neighbours,
		clusterUUID:    options.ClusterUUID,
		ingressClients: options.IngressClients,
		ready:          options.Ready,
		metrics:        options.Metrics,
		log:            options.Log,
		failures:       rate.NewLimiter(rate.Every(10*time.Second), 10),
		now:            options.Now,
		stopping:       make(chan struct{}),

		publicWaiters:  waiters{limit: maxPublicWaiters, limitOfOne: maxPublicWaitersOfOne},
		privateWaiters: waiters{limit: maxPrivateWaiters, limitOfOne: maxPrivateWaitersOfOne},
	}
	if handler.now == nil {
		handler.now = time.Now
	}
	handler.verified = authn.NewVerifiedTokens(handler.now)
	set := options.Documents
	for _, each := range []*route{
		{path: metadata.PublicPath, document: &set.Public},
		{path: metadata.SPIFFEBundlePath, document: &set.SPIFFEBundle},
		{path: metadata.FederationPath, document: &set.Federation,
			audience: &audience{v1alpha1.IstioFederationKind, authn.ScopePrivateFederation}},
		{path: metadata.MulticlusterPath, document: &set.Multicluster, optional: true,
			audience: &audience{v1alpha1.IstioMulticlusterKind, authn.ScopePrivateMulticluster}},
	} {
		handler.routes[Prefix+each.path] = each
	}
	return handler
}

// Stop answers held requests at once and holds no more.
func (h *Handler) Stop() { h.stop.Do(func() { close(h.stopping) }) }

// Requests is how many were answered with a document, or with that it has not
// changed, since the start. What is refused does not count: a flood of it is no
// reason to work differently.
func (h *Handler) Requests() uint64 { return h.served.Load() }

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	route, found := h.routes[r.URL.Path]
	if !found {
		refuse(w, http.StatusNotFound, "no such document")
		h.count("other", http.StatusNotFound)
		return
	}
	code := h.serve(w, r, route)
	if code == http.StatusOK || code == http.StatusNotModified {
		h.served.Add(1)
	}
	h.count(route.path, code)
}

func (h *Handler) count(path string, code int) {
	h.metrics.Requests.WithLabelValues(path, strconv.Itoa(code)).Inc()
}

// serve answers a request for a document and returns the status code.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, route *route) (code int) {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		return refuse(w, http.StatusMethodNotAllowed, "only GET and HEAD are possible")
	case r.ContentLength != 0:
		w.Header().Set("Connection", "close")
		return refuse(w, http.StatusBadRequest, "a request for a document has no body")
	case h.ready() != nil:
		return unavailable(w)
	}
	permission := grant{}
	if route.audience != nil {
		granted, err := h.authenticate(r, *route.audience)
		if err != nil {
			return h.unauthorized(w, r, route, err)
		}
		permission = granted
	}

	revision := route.document.Current()
	wait, mayWait := fields.Wait(r.Header)
	conditional := len(r.Header.Values("If-None-Match")) > 0
	if revision != nil && conditional && mayWait {
		if !fields.Matches(r.Header, revision.ETag) {
			preferenceApplied(w, wait)
		} else if release, ok := h.admit(r, route, permission); ok {
			defer release()
			preferenceApplied(w, wait)
			if revision, ok = h.hold(r, route.document, revision, wait, permission); !ok {
				return h.unauthorized(w, r, route, authn.ErrUnknownCaller)
			}
		}
	}
	switch {
	case r.Context().Err() != nil:
		return statusClientGone
	case revision != nil:
		return send(w, r, revision)
	case route.optional:
		w.Header().Del("Preference-Applied")
		return refuse(w, http.StatusNotFound, "this cluster has no such document")
	default:
		w.Header().Del("Preference-Applied")
		return unavailable(w)
	}
}

func preferenceApplied(w http.ResponseWriter, wait time.Duration) {
	w.Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(wait/time.Second)))
}

// send writes the revision, or 304 when the caller has it.
func send(w http.ResponseWriter, r *http.Request, revision *documents.Revision) int {
	header := w.Header()
	header.Set("ETag", revision.ETag)
	header.Set("Cache-Control", "no-cache")
	bound(w)
	if fields.Matches(r.Header, revision.ETag) {
		w.WriteHeader(http.StatusNotModified)
		return http.StatusNotModified
	}
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(revision.Body)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		write(w, r, revision.Body)
	}
	return http.StatusOK
}

// write sends the body. Each HTTP/2 connection keeps a buffer as large as the
// largest frame that was ever sent over it, and how large a frame may be is the
// caller's choice, up to 16 MiB: that is for as long as it waits for the next
// document, hence the small pieces.
func write(w http.ResponseWriter, r *http.Request, body []byte) {
	largest := len(body)
	if r.ProtoMajor == 2 {
		largest = frameSize
	}
	for piece := range slices.Chunk(body, max(largest, 1)) {
		if _, err := w.Write(piece); err != nil {
			return // A caller that does not take its answer is no concern of ours.
		}
	}
}

// bound gives sending the answer writeTimeout from now. The server itself has
// no such limit, for it would count the time a request is held.
func bound(w http.ResponseWriter) {
	// Only recorders in tests do not support it.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
}

func unavailable(w http.ResponseWriter) int {
	w.Header().Set("Retry-After", retryAfter)
	return refuse(w, http.StatusServiceUnavailable, "the document is not complete yet; come back in a few seconds")
}

// unauthorized tells the caller what is missing, and nothing of what is known here.
func (h *Handler) unauthorized(w http.ResponseWriter, r *http.Request, route *route, cause error) int {
	reason := failureReason(cause)
	h.metrics.AuthenticationFailures.WithLabelValues(route.path, reason).Inc()
	if h.failures.Allow() {
		h.log.Info("refused a request", "document", route.path, "remote", r.RemoteAddr, "reason", reason)
	}
	challenge := `Bearer realm="istio-metadata"`
	if !errors.Is(cause, authn.ErrMissing) {
		challenge += `, error="invalid_token", error_description="` + strings.ReplaceAll(cause.Error(), `"`, `'`) + `"`
	}
	w.Header().Del("Preference-Applied")
	w.Header().Set("WWW-Authenticate", challenge)
	return refuse(w, http.StatusUnauthorized, cause.Error())
}

func refuse(w http.ResponseWriter, code int, message string) int {
	body, err := json.Marshal(map[string]string{"error": message})
	if err != nil { // a string can always be encoded
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	bound(w)
	w.WriteHeader(code)
	_, _ = w.Write(append(body, '\n'))
	return code
}
