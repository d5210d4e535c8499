package authn

import (
	"net/http"
	"strings"
)

// BearerToken returns the token in the header Authorization (RFC 6750, section 2.1);
// empty when there is none. A request with two such headers is rejected
// (ErrSeveralHeaders): a proxy in front may have judged the other one.
func BearerToken(header http.Header) (string, error) {
	values := header.Values("Authorization")
	switch len(values) {
	case 0:
		return "", nil
	case 1:
	default:
		return "", ErrSeveralHeaders
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", nil
	}
	return strings.TrimSpace(token), nil
}
