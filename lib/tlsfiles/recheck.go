package tlsfiles

import (
	"log/slog"
	"time"
)

// recheckAfter is how long a file's content is used before the file is read again.
const recheckAfter = 2 * time.Second

// recheck schedules reading files again, and logs a problem once.
type recheck struct {
	now     func() time.Time
	checked time.Time
	problem string
}

// begin starts with files that have just been read.
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

// report logs err when it has changed.
func (r *recheck) report(log *slog.Logger, what string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	switch {
	case text == r.problem:
	case text != "":
		log.Error("cannot use a file; its last good content, if there is any, stays in force", "which", what, "error", text)
	default:
		log.Info("the file can be used again", "which", what)
	}
	r.problem = text
}
