package peer

import (
	"context"
	"net/http"
	"strings"
	"testing"
)

func TestOnlyAShortVisibleETagIsUsed(t *testing.T) {
	for name, test := range map[string]struct {
		tag    string
		usable bool
	}{
		"a strong one":             {`"67ab43"`, true},
		"a weak one":               {`W/"67ab43"`, true},
		"one of 128 characters":    {strings.Repeat("a", 128), true},
		"one of 129 characters":    {strings.Repeat("a", 129), false},
		"one that JSON multiplies": {strings.Repeat("<", 62_000), false},
		"one that is no UTF-8":     {"\"\xff\"", false},
		"one with a space":         {`"a b"`, false},
		"one beyond ASCII":         {`"é"`, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, target := peerServer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("ETag", test.tag)
				_, _ = w.Write([]byte("{}"))
			})
			response, err := NewClient().Get(context.Background(), target, Request{Path: "x"})
			if err != nil {
				t.Fatal(err)
			}
			want := ""
			if test.usable {
				want = test.tag
			}
			if response.ETag != want {
				t.Errorf("got %.40q, want %.40q", response.ETag, want)
			}
		})
	}
}

func TestTextOfAServerIsShownAsOneLineWithoutControlCharacters(t *testing.T) {
	failed := &Error{Reason: TLS, URL: "https://peer.example/", Err: errText("certificate is valid for a\x1b[2J\nb, not c")}
	if got := failed.Error(); strings.ContainsAny(got, "\x1b\n") || !strings.Contains(got, "a?[2J?b") {
		t.Errorf("got %q", got)
	}
}

type errText string

func (e errText) Error() string { return string(e) }
