package watcher

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

// unknown stands for the revision of a document that was never seen.
const unknown = "-"

// revision is the value that is written of a resource: "<public>.<private>", a short
// hash of each document's ETag, and after another dot whatever makes a nudge
// differ from the value before.
type revision struct{ public, private string }

// writtenForm is all that a watcher writes: hashes as shortHash makes them, and the
// time of a nudge in milliseconds, to the base 36.
var writtenForm = regexp.MustCompile(`^(?:-|[0-9a-f]{12})\.(?:-|[0-9a-f]{12})(?:\.[0-9a-z]{1,13})?$`)

// parseRevision reads what is written of a resource. It is valid only when a
// watcher may have written it; of anything else, as of nothing, both documents
// are unknown, so that no replica carries a stranger's text on.
func parseRevision(written string) (parsed revision, valid bool) {
	if !writtenForm.MatchString(written) {
		return revision{public: unknown, private: unknown}, false
	}
	parts := strings.SplitN(written, ".", 3)
	return revision{public: parts[0], private: parts[1]}, true
}

func (r revision) String() string { return r.public + "." + r.private }

// nudged is a value for the same revision that differs from all before it as
// long as mark does.
func (r revision) nudged(mark string) string { return r.String() + "." + mark }

// with takes over the documents that were seen. What was not seen keeps its
// part: a restarted watcher must not report news where there is none.
func (r revision) with(publicETag, privateETag string) revision {
	if publicETag != "" {
		r.public = shortHash(publicETag)
	}
	if privateETag != "" {
		r.private = shortHash(privateETag)
	}
	return r
}

// news is r, the revision that is written, with those documents of own that
// are others than what was told before. The rest of r stays: another replica of
// the exporter wrote it, and one that is behind must not take it back, or the
// two would overwrite each other for as long as they disagree.
func (r revision) news(told, own revision) revision {
	if own.public != told.public {
		r.public = own.public
	}
	if own.private != told.private {
		r.private = own.private
	}
	return r
}

func shortHash(etag string) string {
	sum := sha256.Sum256([]byte(etag))
	return hex.EncodeToString(sum[:6])
}
