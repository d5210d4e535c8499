// Package echo makes text that others wrote fit to be shown: in conditions,
// Events, logs and metrics. Peers, tenants and whoever answers at an address are
// such others.
package echo

import (
	"strings"
	"unicode"
)

// Text is text without what would move the cursor or turn the direction of
// writing in a person's terminal, and of at most maxBytes bytes. It is valid
// UTF-8 and has one line, so that JSON gives it back as it is: a condition stays
// equal to itself.
func Text(text string, maxBytes int) string {
	if len(text) > maxBytes {
		text = text[:maxBytes]
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, strings.ToValidUTF8(text, ""))
	return text
}
