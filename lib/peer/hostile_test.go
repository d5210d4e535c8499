package peer

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestAHostileAnswerIsBounded: in time, and in memory.
func TestAHostileAnswerIsBounded(t *testing.T) {
	const timeout, mostMemory = 2 * time.Second, 64 << 20
	untilGone := func(w http.ResponseWriter, r *http.Request, piece string) {
		pace := time.NewTicker(time.Millisecond)
		defer pace.Stop()
		for {
			if _, err := io.WriteString(w, piece); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			select {
			case <-pace.C:
			case <-r.Context().Done():
				return
			}
		}
	}
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    Reason
	}{
		"a gigabyte, compressed": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			zipped := gzip.NewWriter(w)
			_, _ = io.WriteString(zipped, `{"a":"`)
			zeros := strings.Repeat("0", 1<<20)
			for range 1 << 10 {
				if _, err := io.WriteString(zipped, zeros); err != nil {
					return
				}
			}
		}, TooLarge},
		"a compressed body that is not": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, `{"a":1}`)
		}, Unreachable},
		"a body without end, drop by drop": {func(w http.ResponseWriter, r *http.Request) { untilGone(w, r, " ") }, Unreachable},
		"no answer at all":                 {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, Unreachable},
		"informational answers without end": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				w.WriteHeader(http.StatusEarlyHints)
			}
		}, Unreachable},
		"a header of a megabyte": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("ETag", `"`+strings.Repeat("e", 1<<20)+`"`)
			_, _ = io.WriteString(w, `{}`)
		}, Unreachable},
		"a redirect to a cloud's metadata service": {http.RedirectHandler("http://169.254.169.254/latest/meta-data/", http.StatusTemporaryRedirect).ServeHTTP, BadStatus},
		"a redirect to itself":                     {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, BadStatus},
	} {
		t.Run(name, func(t *testing.T) {
			_, target := peerServer(t, test.handler)
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			response, err := NewClient().Get(ctx, target, Request{Path: "x", Token: "secret"})
			took := time.Since(began)
			runtime.ReadMemStats(&after)
			var failed *Error
			if !errors.As(err, &failed) || failed.Reason != test.want {
				t.Errorf("got %+v, %v, want reason %s", response, err, test.want)
			}
			if took > 2*timeout {
				t.Errorf("it took %s", took)
			}
			if grown := int64(after.HeapInuse) - int64(before.HeapInuse); grown > mostMemory {
				t.Errorf("it took %d MiB", grown>>20)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error reveals the token: %v", err)
			}
		})
	}
}

// TestARedirectGetsNoToken: not even to another address of the same peer.
func TestARedirectGetsNoToken(t *testing.T) {
	asked := make(chan string, 1)
	elsewhere, _ := peerServer(t, func(_ http.ResponseWriter, r *http.Request) { asked <- r.Header.Get("Authorization") })
	_, target := peerServer(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) })
	target.InsecureSkipVerify = true
	if _, err := NewClient().Get(t.Context(), target, Request{Path: "x", Token: "t"}); err == nil {
		t.Error("the redirect counts as an answer")
	}
	select {
	case header := <-asked:
		t.Errorf("the other address was asked, with %q", header)
	default:
	}
}

func TestADiscardedBodyIsCheckedAndNotRetained(t *testing.T) {
	document := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
	}
	get := func(body string) (*Response, error) {
		_, target := peerServer(t, document(body))
		return NewClient().Get(context.Background(), target, Request{Path: "x", Discard: true, MaxBytes: 4000})
	}
	digests := map[string]string{}
	for _, body := range []string{`{"a":1}`, `{"a":2}`, `{"a":"` + strings.Repeat("x", 3000) + `"}`, `{"a":"` + strings.Repeat("x", 2999) + `y"}`} {
		first, err := get(body)
		if err != nil {
			t.Fatal(err)
		}
		second, err := get(body)
		if err != nil {
			t.Fatal(err)
		}
		if first.Body != nil || first.Digest == "" || first.Digest != second.Digest {
			t.Errorf("%.20s: body of %d bytes, digests %q and %q", body, len(first.Body), first.Digest, second.Digest)
		}
		if other, taken := digests[first.Digest]; taken {
			t.Errorf("%.20s and %.20s have one digest", body, other)
		}
		digests[first.Digest] = body
	}
	for body, want := range map[string]Reason{
		"":                                   NotJSON,
		"<html>" + strings.Repeat("x", 2000): NotJSON,
		"{" + strings.Repeat("x", 4000):      TooLarge,
	} {
		_, err := get(body)
		var failed *Error
		if !errors.As(err, &failed) || failed.Reason != want {
			t.Errorf("%.20s: %v, want %s", body, err, want)
		}
	}
}
