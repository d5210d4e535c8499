// Package httpheader reads the headers of requests for documents. Anyone can
// write them; a header that cannot be understood is ignored.
package httpheader

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/deckhouse-mesh/istio/lib/peer"
)

// Matches evaluates If-None-Match (RFC 9110, section 13.1.2) for a document
// with this strong tag: "*" or any listed tag, weak or not, that is the same.
func Matches(header http.Header, etag string) bool {
	for _, value := range header.Values("If-None-Match") {
		for _, tag := range splitList(value, ',') {
			if tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
				return true
			}
		}
	}
	return false
}

// Wait finds "wait=N" (RFC 7240, section 4.3; N in seconds) among
// the preferences. Only the first one counts; N is at most peer.MaxWait. A value
// that is not a whole positive number is no preference.
func Wait(header http.Header) (wait time.Duration, ok bool) {
	for _, value := range header.Values("Prefer") {
		for _, preference := range splitList(value, ',') {
			// Parameters follow after ";"; wait has none.
			name, argument, _ := strings.Cut(splitList(preference, ';')[0], "=")
			if !strings.EqualFold(strings.TrimSpace(name), "wait") {
				continue
			}
			digits := strings.Trim(strings.TrimSpace(argument), `"`)
			seconds, err := strconv.ParseUint(digits, 10, 31)
			if err != nil || seconds == 0 {
				return 0, false
			}
			return min(time.Duration(seconds)*time.Second, peer.MaxWait), true
		}
	}
	return 0, false
}

// splitList splits a header at separators that are not inside quotes
// and trims white space. It returns at least one element.
func splitList(value string, separator byte) []string {
	var (
		elements []string
		start    int
		quoted   bool
	)
	for index := range len(value) {
		switch {
		case value[index] == '"':
			quoted = !quoted
		case value[index] == separator && !quoted:
			elements = append(elements, strings.TrimSpace(value[start:index]))
			start = index + 1
		}
	}
	return append(elements, strings.TrimSpace(value[start:]))
}
