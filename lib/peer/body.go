package peer

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

// startBytes of a body show whether it is a document or an error page.
const startBytes = 512

// readBody reads the body of a 200 into response, up to request's limit. Of a body
// that is discarded only its start and its digest are ever in memory.
func readBody(address string, httpResponse *http.Response, request Request, response *Response) error {
	maxBytes := cmp.Or(request.MaxBytes, DefaultMaxBytes)
	var start, whole bytes.Buffer
	limited := io.LimitReader(httpResponse.Body, maxBytes+1)
	size, err := io.CopyN(&start, limited, startBytes)
	sum := sha256.New()
	sum.Write(start.Bytes()) // a hash never fails
	var rest io.Writer = sum
	if !request.Discard {
		whole.Write(start.Bytes())
		rest = &whole
	}
	switch {
	case err == nil:
		var more int64
		more, err = io.Copy(rest, limited)
		size += more
	case errors.Is(err, io.EOF): // shorter than startBytes
		err = nil
	}
	if err == nil {
		// A server may notice that this side gives up, and end its answer regularly, before the connection is closed here.
		err = httpResponse.Request.Context().Err()
	}
	contentType := httpResponse.Header.Get("Content-Type")
	switch {
	case err != nil:
		return transportError(address, err)
	case size > maxBytes:
		return &Error{Reason: TooLarge, URL: address, Err: fmt.Errorf("more than %d bytes", maxBytes)}
	case !looksLikeJSON(contentType, start.String()):
		return &Error{Reason: NotJSON, URL: address, Err: fmt.Errorf("%d bytes of %q", size, contentType)}
	case request.Discard:
		response.Digest = hex.EncodeToString(sum.Sum(nil))
	default:
		response.Body = whole.Bytes()
	}
	return nil
}

// looksLikeJSON is false for an error page. Deckhouse's exporter and proxies in
// between are not strict about the media type, so only a contradiction counts: HTML,
// or a body that does not begin as a JSON object.
func looksLikeJSON(contentType, start string) bool {
	if mediaType, _, err := mime.ParseMediaType(contentType); err == nil && mediaType == "text/html" {
		return false
	}
	return strings.HasPrefix(strings.TrimSpace(start), "{")
}
