package watcher

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

// unknown stands for the version of a document that was never seen.
const unknown = "-"

// versions is the value that is written for a resource: "<public>.<private>", a
// short hash of each document's ETag, and after another dot whatever makes a nudge
// differ from the value before.
type versions struct{ public, private string }

// writtenForm is all that a watcher writes: hashes as shortHash makes them, and the
// time of a nudge in milliseconds, to the base 36.
var writtenForm = regexp.MustCompile(`^(?:-|[0-9a-f]{12})\.(?:-|[0-9a-f]{12})(?:\.[0-9a-z]{1,13})?$`)

// parseVersions reads the value written for a resource. It is valid only when a
// watcher may have written it; of any other value, as of none, both versions are
// unknown, so that no replica copies foreign text.
func parseVersions(written string) (parsed versions, valid bool) {
	if !writtenForm.MatchString(written) {
		return versions{public: unknown, private: unknown}, false
	}
	parts := strings.SplitN(written, ".", 3)
	return versions{public: parts[0], private: parts[1]}, true
}

func (v versions) String() string { return v.public + "." + v.private }

// with takes over the versions of the documents that were seen. A document that was not
// seen keeps its version: a restarted watcher must not report an update where there is none.
func (v versions) with(public, private string) versions {
	return versions{public: cmp.Or(public, v.public), private: cmp.Or(private, v.private)}
}

// updated is v, the versions that are written, with those of own that differ from
// what this replica reported before. The rest of v stays: another replica of the
// exporter wrote it, and a replica that is behind must not revert it, or the two
// would overwrite each other for as long as they disagree.
func (v versions) updated(reported, own versions) versions {
	if own.public != reported.public {
		v.public = own.public
	}
	if own.private != reported.private {
		v.private = own.private
	}
	return v
}

func shortHash(etag string) string {
	sum := sha256.Sum256([]byte(etag))
	return hex.EncodeToString(sum[:6])
}
