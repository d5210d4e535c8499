package server

import (
	"net/http"
	"time"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/documents"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/httpheader"
	"github.com/deckhouse-mesh/istio/lib/connlimit"
	"github.com/deckhouse-mesh/istio/lib/inflight"
)

// admit lets a request be held, unless too many are, of this caller or of all:
// then the caller is answered at once and, without Preference-Applied, comes back
// later.
func (h *Handler) admit(r *http.Request, route *route, permission grant) (release func(), ok bool) {
	limit, caller := h.heldPublic, connlimit.Host(r.RemoteAddr)
	if route.audience != nil {
		limit, caller = h.heldPrivate, permission.caller
	}
	free, reached := limit.Take(caller)
	if reached != inflight.None {
		return nil, false
	}
	gauge := h.Metrics.Held.WithLabelValues(route.path)
	gauge.Inc()
	return func() {
		gauge.Dec()
		free()
	}, true
}

// hold waits until the document is another than the caller has, wait has
// passed, the caller has disconnected or the server stops, and returns the version
// to answer with: nil when the document was withdrawn. ok is false when the
// permission has ended.
func (h *Handler) hold(r *http.Request, document *documents.Document, version *documents.Version, wait time.Duration, permission grant) (_ *documents.Version, ok bool) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		permissionChanged := permission.changed()
		if !permission.valid() {
			return nil, false
		}
		select {
		case <-permissionChanged:
		case <-version.Superseded():
			version = document.Current()
			if version == nil || !httpheader.Matches(r.Header, version.ETag) {
				return version, permission.valid()
			}
		case <-timer.C:
			return version, true
		case <-h.stopping:
			return version, true
		case <-r.Context().Done():
			return version, true
		}
	}
}
