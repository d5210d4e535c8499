package metadata

import (
	"crypto/sha256"
	"encoding/hex"
)

// ETag is the strong entity tag (RFC 9110, section 8.8.3), quotes included, of
// a document with these bytes. Equal bytes have equal tags in every replica.
func ETag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + hex.EncodeToString(sum[:16]) + `"`
}
