package peer

import "strings"

// maxETagLength in characters.
const maxETagLength = 128

// usableETag is a peer's entity tag as it may be stored and sent back: visible
// ASCII characters, at most 128 of them. Any other is as good as none: JSON would
// change it or swell it, and the status that has it would not fit into the API
// server, or never be equal to itself.
func usableETag(tag string) string {
	if len(tag) > maxETagLength || strings.ContainsFunc(tag, func(character rune) bool { return character < '!' || character > '~' }) {
		return ""
	}
	return tag
}
