package server

import (
	"net"
	"net/http"
	"time"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/documents"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/fields"
)

// admit takes a place among the waiters, unless there are too many, of this
// caller or of all: then the caller is answered at once and, without
// Preference-Applied, comes back later.
func (h *Handler) admit(r *http.Request, route *route, permission grant) (release func(), ok bool) {
	places, caller := &h.publicWaiters, remoteHost(r)
	if route.audience != nil {
		places, caller = &h.privateWaiters, permission.caller
	}
	if !places.take(caller) {
		return nil, false
	}
	gauge := h.metrics.Waiters.WithLabelValues(route.path)
	gauge.Inc()
	return func() {
		gauge.Dec()
		places.free(caller)
	}, true
}

// remoteHost is the caller's address without its port, which differs from
// connection to connection.
func remoteHost(r *http.Request) string {
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return host
	}
	return r.RemoteAddr
}

// hold waits until the document is another than the caller has, wait has
// passed, the caller is gone or the server stops, and returns the revision to
// answer with: nil when the document is no more. ok is false when the caller
// is a neighbour no longer.
func (h *Handler) hold(r *http.Request, document *documents.Document, revision *documents.Revision, wait time.Duration, permission grant) (_ *documents.Revision, ok bool) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		permissionChanged := permission.changed()
		if !permission.stands() {
			return nil, false
		}
		select {
		case <-permissionChanged:
		case <-revision.Superseded():
			revision = document.Current()
			if revision == nil || !fields.Matches(r.Header, revision.ETag) {
				return revision, permission.stands()
			}
		case <-timer.C:
			return revision, true
		case <-h.stopping:
			return revision, true
		case <-r.Context().Done():
			return revision, true
		}
	}
}
