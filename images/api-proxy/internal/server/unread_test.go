package server_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

// torrent is a backend whose watches send small events for as long as they are
// accepted, with so much time in between that each is sent on its own.
type torrent struct{ open, sent atomic.Int64 }

func (s *torrent) answer(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("watch") != "true" {
		_, _ = io.WriteString(w, "{}")
		return
	}
	s.open.Add(1)
	defer s.open.Add(-1)
	event := `{"type":"ADDED","object":"` + strings.Repeat("a", 1900) + `"}` + "\n"
	tick := time.NewTicker(200 * time.Microsecond)
	defer tick.Stop()
	for ; ; <-tick.C {
		if _, err := io.WriteString(w, event); err != nil || http.NewResponseController(w).Flush() != nil {
			return
		}
		s.sent.Add(1)
	}
}

// waitStuck waits until nothing has been accepted for a while: all that is between
// the API server and the reader is full.
func (s *torrent) waitStuck(t *testing.T) {
	t.Helper()
	const quiet = 200 * time.Millisecond
	last, since := int64(0), time.Now()
	peerstest.Await(t, func() string {
		if now := s.sent.Load(); now == 0 || now != last {
			last, since = now, time.Now()
		}
		if time.Since(since) < quiet {
			return "events are still accepted"
		}
		return ""
	})
}

// waitNoWatch waits until the peer holds no watch.
func (p *proxy) waitNoWatch(t *testing.T) {
	t.Helper()
	peerstest.Await(t, func() string {
		if got := testutil.ToFloat64(p.metrics.Watches.WithLabelValues("b")); got != 0 {
			return fmt.Sprintf("the proxy holds %v watches", got)
		}
		return ""
	})
}

// narrowClient is a client that buffers little.
func (p *proxy) narrowClient(t *testing.T, http2 bool) *http.Client {
	t.Helper()
	client := p.client(t, http2)
	transport := client.Transport.(*http.Transport)
	transport.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10}
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		dialer := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) (err error) {
			if ctrl := raw.Control(func(fd uintptr) {
				err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 16<<10)
			}); ctrl != nil {
				return ctrl
			}
			return err
		}}
		return dialer.DialContext(ctx, network, address)
	}
	return client
}

// TestAWatchThatNobodyReadsIsCutOff: each of its events fits into net/http's
// buffer, so that it is not the write that waits for the reader, but the flush.
func TestAWatchThatNobodyReadsIsCutOff(t *testing.T) {
	for name, test := range map[string]struct {
		timeout time.Duration // none: longer than the test waits
		end     func(*testing.T, *proxy, *torrent)
	}{
		"the write deadline has expired": {100 * time.Millisecond, func(*testing.T, *proxy, *torrent) {}},
		"the permission is withdrawn":    {0, func(t *testing.T, p *proxy, s *torrent) { t.Helper(); s.waitStuck(t); p.trust(t) }},
		"the proxy stops":                {0, func(t *testing.T, p *proxy, s *torrent) { t.Helper(); s.waitStuck(t); p.handler.Stop() }},
	} {
		for protocol, http2 := range map[string]bool{"HTTP/2": true, "HTTP/1.1": false} {
			t.Run(name+", "+protocol, func(t *testing.T) {
				source := new(torrent)
				p := start(t, setup{writeTimeout: test.timeout, answer: source.answer})
				response, err := p.narrowClient(t, http2).Do(p.request(t, http.MethodGet, podWatch, ""))
				if err != nil {
					t.Fatal(err)
				}
				defer response.Body.Close()
				test.end(t, p, source)
				p.waitNoWatch(t)
				peerstest.Await(t, func() string {
					if got := source.open.Load(); got != 0 {
						return fmt.Sprintf("the API server holds %d watches", got)
					}
					return ""
				})
			})
		}
	}
}

// TestAnAnswerWithoutAWindowIsCutOff: a peer grants no window, so that
// not even the smallest answer of the proxy's own can be sent.
func TestAnAnswerWithoutAWindowIsCutOff(t *testing.T) {
	for name, target := range map[string]string{
		"a watch that the proxy answers":    "/api/v1/secrets?watch=true&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
		"a list that the proxy answers":     "/api/v1/secrets",
		"a list that the API server gives":  "/api/v1/pods",
		"a watch that the API server gives": podWatch,
		"a rejection":                       "/api/v1/namespaces/x/pods/y/exec",
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, setup{writeTimeout: 100 * time.Millisecond, answer: new(torrent).answer})
			f := p.frames(t)
			if err := f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}); err != nil {
				t.Fatal(err)
			}
			fields := p.pods(t)
			for i := range fields {
				if fields[i].Name == ":path" {
					fields[i].Value = target
				}
			}
			if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.encode(fields...), EndStream: true, EndHeaders: true}); err != nil {
				t.Fatal(err)
			}
			f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
			_ = f.connection.SetReadDeadline(time.Now().Add(peerstest.Deadline))
			answered := false
			for {
				frame, err := f.ReadFrame()
				if err != nil {
					t.Fatalf("the stream was not reset: %v", err)
				}
				if headers, ok := frame.(*http2.MetaHeadersFrame); ok {
					answered = true
					t.Logf("answered %s", headers.PseudoValue("status"))
				}
				if _, ok := frame.(*http2.RSTStreamFrame); ok {
					break
				}
			}
			if !answered {
				t.Error("not even the headers came")
			}
			p.waitNoWatch(t)
			p.stillServes(t)
		})
	}
}
