package server

import (
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// How much of a request line is logged.
	auditPath, auditMethod = 200, 16
	// Lines for one peer, and for all unidentified callers together.
	auditEvery = time.Second
	auditBurst = 20
)

// audit logs rejected requests, at a rate that a person can read; the next line
// counts those that were left out.
type audit struct {
	log *slog.Logger
	now func() time.Time

	mu    sync.Mutex
	lines map[string]*auditLimit
}

type auditLimit struct {
	*rate.Limiter
	leftOut int
}

func newAudit(log *slog.Logger, now func() time.Time) *audit {
	return &audit{log: log, now: now, lines: map[string]*auditLimit{}}
}

// rejected logs one rejected request. clusterUUID and name are the peer's, and empty
// for an unidentified caller; the log's handler escapes the caller's text.
func (a *audit) rejected(clusterUUID, name string, r *http.Request, reason string, code int) {
	leftOut, write := a.take(clusterUUID)
	if !write {
		return
	}
	attributes := []any{
		"reason", reason, "code", code, "method", shorten(r.Method, auditMethod), "target", shorten(r.RequestURI, auditPath),
		"remote", r.RemoteAddr,
	}
	if clusterUUID != "" {
		attributes = append(attributes, "peer", name, "clusterUUID", clusterUUID)
	}
	if leftOut > 0 {
		attributes = append(attributes, "linesLeftOut", leftOut)
	}
	a.log.Warn("rejected a request", attributes...)
}

func (a *audit) take(clusterUUID string) (leftOut int, write bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	limit, ok := a.lines[clusterUUID]
	if !ok {
		limit = &auditLimit{Limiter: rate.NewLimiter(rate.Every(auditEvery), auditBurst)}
		a.lines[clusterUUID] = limit
	}
	if !limit.AllowN(a.now(), 1) {
		limit.leftOut++
		return 0, false
	}
	leftOut, limit.leftOut = limit.leftOut, 0
	return leftOut, true
}

func shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return text[:most] + "…"
}
