package watcher

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// unknown stands for the revision of a document that was never seen.
const unknown = "-"

// revision is the value that is written of a resource: "<public>.<private>", a short
// hash of each document's ETag, and after another dot whatever makes a nudge
// differ from the value before.
type revision struct{ public, private string }

func parseRevision(written string) revision {
	parts := strings.SplitN(written, ".", 3)
	parsed := revision{public: unknown, private: unknown}
	if len(parts) >= 2 {
		parsed.public, parsed.private = parts[0], parts[1]
	}
	return parsed
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
