package tlsfiles

import (
	"log/slog"
	"time"
)

// recheckAfter is how long what was read is used before its files are read again.
const recheckAfter = 2 * time.Second

// recheck says when files are to be read again, and logs a problem once.
type recheck struct {
	now     func() time.Time
	checked time.Time
	problem string
}

// begin starts with files that were read just now.
func (r *recheck) begin() { r.checked = r.now() }

// due is true when it is time to read again, and then false for a while.
func (r *recheck) due() bool {
	now := r.now()
	if now.Sub(r.checked) < recheckAfter {
		return false
	}
	r.checked = now
	return true
}

// report logs err when it is another than before.
func (r *recheck) report(log *slog.Logger, what string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	switch {
	case text == r.problem:
	case text != "":
		log.Error("cannot be used; what was read before stays in force, if anything was", "which", what, "error", text)
	default:
		log.Info("can be used again", "which", what)
	}
	r.problem = text
}
