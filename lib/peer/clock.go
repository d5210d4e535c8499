package peer

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
)

// maxReasonBytes of a rejection are read.
const maxReasonBytes = 4 << 10

// aboutTime matches messages of verifiers about a token that is not valid yet or has
// expired (the claims nbf and exp; RFC 7519, sections 4.1.4 and 4.1.5).
var aboutTime = regexp.MustCompile(`(?i)\b(clocks?|expired|not valid yet|not yet valid|used before issued)\b`)

// clockDifference is an error when a peer rejects a token for its times. Tokens are
// made for each request and are valid for minutes, so the clocks must differ. The
// error does not repeat the peer's message, which may be any text.
func clockDifference(rejection *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(rejection.Body, maxReasonBytes))
	if err != nil {
		return nil //nolint:nilerr // without the message the cause is unknown
	}
	text := string(body)
	var reason struct {
		Error   string `json:"error"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &reason) == nil {
		text = reason.Error + " " + reason.Message
	}
	if !aboutTime.MatchString(text) {
		return nil
	}
	return errors.New("the peer rejects this cluster's token or certificate as not valid yet or expired: the clocks of the two clusters differ")
}
