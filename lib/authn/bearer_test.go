package authn_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/deckhouse-mesh/istio/lib/authn"
)

func TestTheBearerTokenOfARequest(t *testing.T) {
	for name, test := range map[string]struct {
		header []string
		want   string
		err    error
	}{
		"no header":              {nil, "", nil},
		"a token":                {[]string{"Bearer x"}, "x", nil},
		"in small letters":       {[]string{"bearer  x "}, "x", nil},
		"another scheme":         {[]string{"Basic x"}, "", nil},
		"a scheme alone":         {[]string{"Bearer"}, "", nil},
		"two tokens":             {[]string{"Bearer x", "Bearer y"}, "", authn.ErrSeveralHeaders},
		"the same token twice":   {[]string{"Bearer x", "Bearer x"}, "", authn.ErrSeveralHeaders},
		"a password and a token": {[]string{"Basic x", "Bearer x"}, "", authn.ErrSeveralHeaders},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := authn.BearerToken(http.Header{"Authorization": test.header})
			if got != test.want || !errors.Is(err, test.err) {
				t.Errorf("BearerToken() = %q, %v", got, err)
			}
		})
	}
}

func FuzzBearerToken(f *testing.F) {
	for _, seed := range []string{"", "Bearer", "Bearer ", "Bearer x", "bearer  x ", "Basic x", "Bearer x y", " Bearer x", "Bearer\tx"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		token, err := authn.BearerToken(http.Header{"Authorization": {value}})
		if err != nil {
			t.Fatalf("%q: %v", value, err)
		}
		if token == "" {
			return
		}
		if !strings.Contains(value, token) || !strings.EqualFold(value[:6], "bearer") || strings.TrimSpace(token) != token {
			t.Fatalf("%q has the token %q", value, token)
		}
	})
}
