// Package server answers peers: the prepared documents over TLS, with conditional
// requests, long polls and proofs of identity as the contract's section "Metadata"
// has them.
package server

import (
	"encoding/json"
	"errors"
	"fmt"
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
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/httpheader"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/telemetry"
	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/connlimit"
	"github.com/deckhouse-mesh/istio/lib/inflight"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/peers"
	"github.com/deckhouse-mesh/istio/lib/tlsfiles"
)

const (
	// Prefix of every document's path; nothing is rewritten on the way here.
	Prefix = "/metadata/"

	// writeTimeout bounds sending one answer, not the time it was held.
	writeTimeout = 15 * time.Second
	retryAfter   = "5"
	// statusClientGone counts callers that have disconnected and get no answer.
	statusClientGone = 499

	// frameSize is the most that goes into one frame of HTTP/2; with its header it fills 8 KiB.
	frameSize = 8<<10 - 9

	// How many requests can be held at once for documents that anyone may read, and
	// for the others. Beyond, callers are answered at once.
	maxHeldPublic  = 1024
	maxHeldPrivate = 8192
	// How many of them one remote address and one peer can have: plenty for the
	// replicas of an exporter (behind an Ingress the address is the controller's, for
	// all callers), and not enough to exhaust the limit of all.
	maxHeldPublicOfOne  = 64
	maxHeldPrivateOfOne = 16
	// maxOfOnePeer requests of one peer are in progress at a time, held ones included.
	maxOfOnePeer = 32
)

// Options of a Handler.
type Options struct {
	Documents *documents.Set
	Peers     *peers.Registry
	// ClusterUUID is the audience that tokens must have.
	ClusterUUID string
	// IngressClients are the authorities whose client certificates prove the
	// ingress controller, which may then forward its callers' certificates; nil for none.
	IngressClients *tlsfiles.Roots
	// Ready returns nil once the documents are complete.
	Ready   func() error
	Metrics *telemetry.Metrics
	Log     *slog.Logger
	// Now returns the time; nil means time.Now.
	Now func() time.Time
}

// Handler serves the documents. Use NewHandler.
type Handler struct {
	Options
	routes   map[string]*route
	failures *rate.Limiter
	// verified are the tokens of peers that ask again and again.
	verified *authn.VerifiedTokens

	stopping chan struct{}
	stop     sync.Once

	served atomic.Uint64

	heldPublic, heldPrivate, ofPeers *inflight.Limit
}

// route is one document and its audience.
type route struct {
	path     string
	document *documents.Document
	// audience is nil for a document that anyone may read.
	audience *audience
	// optional is true for a document that this cluster may not have.
	optional bool
}

// NewHandler makes a Handler.
func NewHandler(options Options) *Handler {
	if options.Now == nil {
		options.Now = time.Now
	}
	handler := &Handler{
		Options:  options,
		routes:   map[string]*route{},
		failures: rate.NewLimiter(rate.Every(10*time.Second), 10),
		verified: authn.NewVerifiedTokens(),
		stopping: make(chan struct{}),

		heldPublic:  inflight.NewLimit(maxHeldPublic, maxHeldPublicOfOne),
		heldPrivate: inflight.NewLimit(maxHeldPrivate, maxHeldPrivateOfOne),
		ofPeers:     inflight.NewLimit(0, maxOfOnePeer),
	}
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

// Requests counts the answers with a document, or with 304, since the start.
// Rejected requests do not count: a flood of them must not change how the program works.
func (h *Handler) Requests() uint64 { return h.served.Load() }

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	route, found := h.routes[r.URL.Path]
	if !found {
		reject(w, http.StatusNotFound, "no such document")
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
	h.Metrics.Requests.WithLabelValues(path, strconv.Itoa(code)).Inc()
}

// serve answers a request for a document and returns the status code.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, route *route) (code int) {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		return reject(w, http.StatusMethodNotAllowed, "only GET and HEAD are allowed")
	case r.ContentLength != 0:
		w.Header().Set("Connection", "close")
		return reject(w, http.StatusBadRequest, "a request for a document has no body")
	case h.Ready() != nil:
		return unavailable(w)
	}
	permission := grant{}
	if route.audience != nil {
		granted, err := h.authenticate(r, *route.audience)
		if err != nil {
			connlimit.MarkUnidentified(r.Context())
			return h.unauthorized(w, r, route, err)
		}
		permission = granted
		done, ok := h.begin(r, permission.caller)
		if !ok {
			return tooMany(w)
		}
		defer done()
	} else {
		connlimit.MarkUnidentified(r.Context())
	}

	version := route.document.Current()
	wait, applied := httpheader.Wait(r.Header)
	applied = applied && version != nil && len(r.Header.Values("If-None-Match")) > 0
	if applied && httpheader.Matches(r.Header, version.ETag) {
		var release func()
		if release, applied = h.admit(r, route, permission); applied {
			defer release()
			var ok bool
			if version, ok = h.hold(r, route.document, version, wait, permission); !ok {
				return h.unauthorized(w, r, route, authn.ErrUnknownCaller)
			}
		}
	}
	switch {
	case r.Context().Err() != nil:
		return statusClientGone
	case version != nil:
		if applied {
			w.Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(wait/time.Second)))
		}
		return send(w, r, version)
	case route.optional:
		return reject(w, http.StatusNotFound, "this cluster has no such document")
	default:
		return unavailable(w)
	}
}

// send writes the version, or 304 when the caller has it already.
func send(w http.ResponseWriter, r *http.Request, version *documents.Version) int {
	header := w.Header()
	header.Set("ETag", version.ETag)
	header.Set("Cache-Control", "no-cache")
	setWriteDeadline(w)
	if httpheader.Matches(r.Header, version.ETag) {
		w.WriteHeader(http.StatusNotModified)
		return http.StatusNotModified
	}
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(version.Body)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		write(w, r, version.Body)
	}
	return http.StatusOK
}

// write sends the body in small pieces. Each HTTP/2 connection retains a buffer
// as large as the largest frame that was ever sent over it, and the caller chooses
// how large a frame may be, up to 16 MiB: the buffer would stay for as long as the
// caller waits for the next version.
func write(w http.ResponseWriter, r *http.Request, body []byte) {
	largest := len(body)
	if r.ProtoMajor == 2 {
		largest = frameSize
	}
	for piece := range slices.Chunk(body, max(largest, 1)) {
		if _, err := w.Write(piece); err != nil {
			return // The caller does not want its answer any more.
		}
	}
}

// setWriteDeadline ends sending the answer writeTimeout from now. The server
// itself has no such limit, because it would count the time that a request is held.
func setWriteDeadline(w http.ResponseWriter) {
	// Only recorders in tests do not support it.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
}

// begin a request of that peer; ok is false when it has too many in progress.
func (h *Handler) begin(r *http.Request, peer string) (done func(), ok bool) {
	release, reached := h.ofPeers.Take(peer)
	if reached != inflight.None {
		return nil, false
	}
	unused, _ := connlimit.MarkInUse(r.Context(), peer) // the limit of requests bounds its connections, too
	return func() {
		unused()
		release()
	}, true
}

func tooMany(w http.ResponseWriter) int {
	w.Header().Set("Retry-After", retryAfter)
	return reject(w, http.StatusTooManyRequests,
		fmt.Sprintf("too many concurrent requests from this cluster (limit %d); retry when one has finished", maxOfOnePeer))
}

func unavailable(w http.ResponseWriter) int {
	w.Header().Set("Retry-After", retryAfter)
	return reject(w, http.StatusServiceUnavailable, "the document is not complete yet; retry in a few seconds")
}

// unauthorized names what is missing to the caller, and reveals nothing of what is known here.
func (h *Handler) unauthorized(w http.ResponseWriter, r *http.Request, route *route, cause error) int {
	reason := failureReason(cause)
	h.Metrics.AuthenticationFailures.WithLabelValues(route.path, reason).Inc()
	if h.failures.Allow() {
		h.Log.Info("rejected a request", "document", route.path, "remote", r.RemoteAddr, "reason", reason)
	}
	challenge := `Bearer realm="istio-metadata"`
	if !errors.Is(cause, authn.ErrMissing) {
		challenge += `, error="invalid_token", error_description="` + strings.ReplaceAll(cause.Error(), `"`, `'`) + `"`
	}
	w.Header().Set("WWW-Authenticate", challenge)
	return reject(w, http.StatusUnauthorized, cause.Error())
}

func reject(w http.ResponseWriter, code int, message string) int {
	body, err := json.Marshal(map[string]string{"error": message})
	if err != nil { // a string can always be encoded
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	setWriteDeadline(w)
	w.WriteHeader(code)
	_, _ = w.Write(append(body, '\n'))
	return code
}
