package metadata

import (
	"crypto/sha256"
	"encoding/hex"
)

// ETag is the strong entity tag (RFC 9110, section 8.8.3), quotes included, of
// a document with these bytes. Equal bytes have equal tags in every replica.
func ETag(body []byte) string { return ETagCovering(body, "") }

// ETagCovering is an ETag of a document with these bytes that also changes with
// covered, the ETag of another document: a reader that waits for one of them notices
// changes of both. Equal tags still mean equal bytes.
func ETagCovering(body []byte, covered string) string {
	hash := sha256.New()
	hash.Write([]byte(covered)) // a hash never fails
	hash.Write(body)
	return `"` + hex.EncodeToString(hash.Sum(nil)[:16]) + `"`
}
