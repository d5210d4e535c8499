package probe

import "strings"

// echoFields reads the answer of Istio's echo server: a line "Field=value" for
// each fact, and "RequestHeader=Name:value" for each header that it received.
func echoFields(body string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(body) {
		key, value, found := strings.Cut(strings.TrimSpace(line), "=")
		if !found {
			continue
		}
		if key == "RequestHeader" {
			header, content, _ := strings.Cut(value, ":")
			key, value = key+"="+header, content
		}
		fields[key] = value
	}
	return fields
}

// callerOf is the URI of the last element of X-Forwarded-Client-Cert, which the
// server's own proxy has added; empty when there is none.
func callerOf(forwarded string) string {
	elements := strings.Split(forwarded, ",")
	for pair := range strings.SplitSeq(elements[len(elements)-1], ";") {
		if uri, found := strings.CutPrefix(pair, "URI="); found {
			return strings.Trim(uri, `"`)
		}
	}
	return ""
}
