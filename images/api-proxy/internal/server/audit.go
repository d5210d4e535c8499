package server

import (
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// What of a request line gets into the log.
	auditPath, auditMethod = 200, 16
	// Lines for one neighbour, and for all strangers together.
	auditEvery = time.Second
	auditBurst = 20
)

// audit writes one line for a refused request, but not more of them than a
// person can read; the lines left out are counted in the next one.
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

// refused writes the line. who is the neighbour's clusterUUID, empty for
// strangers, so there are few; the handler of the log escapes what a caller wrote.
func (a *audit) refused(who, name string, r *http.Request, reason string, code int) {
	leftOut, write := a.take(who)
	if !write {
		return
	}
	attributes := []any{
		"reason", reason, "code", code, "method", shorten(r.Method, auditMethod), "target", shorten(r.RequestURI, auditPath),
		"remote", r.RemoteAddr,
	}
	if who != "" {
		attributes = append(attributes, "peer", name, "clusterUUID", who)
	}
	if leftOut > 0 {
		attributes = append(attributes, "linesLeftOut", leftOut)
	}
	a.log.Warn("refused a request", attributes...)
}

func (a *audit) take(who string) (leftOut int, write bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	limit, ok := a.lines[who]
	if !ok {
		limit = &auditLimit{Limiter: rate.NewLimiter(rate.Every(auditEvery), auditBurst)}
		a.lines[who] = limit
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
