package peer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// TestABoxBetweenThatAnswersIsNamed: its page says nothing of the peer, and the cause must not look like the peer's.
func TestABoxBetweenThatAnswersIsNamed(t *testing.T) {
	for status, want := range map[int]string{
		http.StatusRequestEntityTooLarge:       "raise the limit there",
		http.StatusRequestHeaderFieldsTooLarge: "raise the limit of headers there",
		http.StatusRequestTimeout:              "raise its time-outs",
		http.StatusTooManyRequests:             "raise its limit of requests",
		http.StatusBadGateway:                  "does not reach the peer's metadata-exporter",
		http.StatusServiceUnavailable:          "check that it runs, and its readiness",
		http.StatusGatewayTimeout:              "raise its time-outs above a minute",
	} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			var answers atomic.Int32
			_, target := peerServer(t, func(w http.ResponseWriter, _ *http.Request) {
				// Neither a version nor the number of the request must be repeated: the condition would change every time.
				w.Header().Set("Server", fmt.Sprintf("nginx/1.27.%d <b>", answers.Add(1)))
				w.WriteHeader(status)
				_, _ = fmt.Fprintf(w, "<html><center>request %d</center></html>", answers.Load())
			})
			var messages []string
			client := NewClient()
			for range 2 {
				_, err := client.Get(context.Background(), target, Request{Path: "x", Token: "t"})
				var failed *Error
				if !errors.As(err, &failed) || !failed.Between {
					t.Fatalf("%v", err)
				}
				messages = append(messages, err.Error())
			}
			if !strings.Contains(messages[0], `from a load balancer or proxy between the clusters, "nginx" (`) || !strings.Contains(messages[0], want) {
				t.Errorf("%s", messages[0])
			}
			if messages[0] != messages[1] {
				t.Errorf("the second time it says %s, after %s", messages[1], messages[0])
			}
		})
	}
}

func TestALimitOfThePeersIsThePeers(t *testing.T) {
	_, target := peerServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = fmt.Fprint(w, `{"error":"too many concurrent requests from this cluster (limit 32); retry when one has finished"}`)
	})
	_, err := NewClient().Get(context.Background(), target, Request{Path: "x", Token: "t"})
	var failed *Error
	if !errors.As(err, &failed) || failed.Reason != Limited || failed.Between || !strings.Contains(err.Error(), "makes requests in this cluster's name") {
		t.Errorf("%v", err)
	}
}

func TestAFailureThatPassesAtOnceIsNoFailure(t *testing.T) {
	for name, fail := range map[string]http.HandlerFunc{
		"502":                         func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"503":                         func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"504":                         func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGatewayTimeout) },
		"429":                         func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		"a connection that is closed": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int32
			_, target := peerServer(t, func(w http.ResponseWriter, r *http.Request) {
				if requests.Add(1) == 1 {
					fail(w, r)
					return
				}
				_, _ = fmt.Fprint(w, "{}")
			})
			if _, err := NewClient().Get(context.Background(), target, Request{Path: "x", Token: "t"}); err != nil {
				t.Errorf("%v after %d requests", err, requests.Load())
			}
		})
	}
}

func TestAPeerThatStaysAwayCostsOneRequest(t *testing.T) {
	var requests atomic.Int32
	_, target := peerServer(t, func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	client := NewClient()
	for try, want := range []int32{2, 3, 4} {
		if _, err := client.Get(context.Background(), target, Request{Path: "x"}); err == nil {
			t.Fatal("no error")
		}
		if got := requests.Load(); got != want {
			t.Errorf("after try %d the peer has %d requests, want %d", try, got, want)
		}
	}
}

func TestWhatDoesNotPassAtOnceIsNotRetried(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusNotFound, http.StatusInternalServerError, http.StatusRequestHeaderFieldsTooLarge} {
		var requests atomic.Int32
		_, target := peerServer(t, func(w http.ResponseWriter, _ *http.Request) {
			requests.Add(1)
			w.WriteHeader(status)
		})
		_, err := NewClient().Get(context.Background(), target, Request{Path: "x", Token: "t"})
		if got := requests.Load(); err == nil || got != 1 {
			t.Errorf("%d: %d requests, %v", status, got, err)
		}
	}
}
