package peer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestWhateverAnETagIsItIsSentBackAsItCame: a validator is compared by the peer, never here.
func TestWhateverAnETagIsItIsSentBackAsItCame(t *testing.T) {
	for name, tag := range map[string]string{
		"weak": `W/"abc"`, "of a load balancer that compresses": `"abc-gzip"`, "without quotes": "abc", "a star": "*", "a list": `"a","b"`,
	} {
		t.Run(name, func(t *testing.T) {
			_, target := peerServer(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("ETag", tag)
				if r.Header.Get("If-None-Match") == tag {
					w.WriteHeader(http.StatusNotModified)
					return
				}
				fmt.Fprint(w, "{}")
			})
			client := NewClient()
			first, err := client.Get(context.Background(), target, Request{Path: "x"})
			if err != nil || first.ETag != tag {
				t.Fatalf("%+v, %v", first, err)
			}
			if second, err := client.Get(context.Background(), target, Request{Path: "x", IfNoneMatch: first.ETag}); err != nil || !second.NotModified {
				t.Errorf("%+v, %v", second, err)
			}
		})
	}
}

// TestHeadersOfAPeerAreBounded: many, long and contradictory ones.
func TestHeadersOfAPeerAreBounded(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"a hundred thousand": func(w http.ResponseWriter, _ *http.Request) {
			for number := range 100_000 {
				w.Header().Set(fmt.Sprint("X-", number), "y")
			}
		},
		"one of two megabytes": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-A", strings.Repeat("a", 2<<20)) },
	} {
		t.Run(name, func(t *testing.T) {
			_, target := peerServer(t, answer)
			_, err := NewClient().Get(context.Background(), target, Request{Path: "x"})
			var failed *Error
			if !errors.As(err, &failed) || len(err.Error()) > 2_000 {
				t.Errorf("%.300v", err)
			}
		})
	}
}

// TestARejectionIsReadBounded: the body of an error is endless, or comes slowly.
func TestARejectionIsReadBounded(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"endless": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			piece := []byte(strings.Repeat("x", 32<<10))
			for r.Context().Err() == nil {
				if _, err := w.Write(piece); err != nil {
					return
				}
			}
		},
		"slow": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = w.Write([]byte("{"))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, target := peerServer(t, answer)
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			began := time.Now()
			_, err := NewClient().Get(ctx, target, Request{Path: "x", Token: "t"})
			var failed *Error
			if !errors.As(err, &failed) || failed.StatusCode == 0 {
				t.Errorf("%v", err)
			}
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}
