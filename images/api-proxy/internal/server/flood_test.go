package server_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

// frames speaks HTTP/2 by hand, without reading.
type frames struct {
	*http2.Framer
	connection net.Conn
	block      strings.Builder
	encoder    *hpack.Encoder
}

func (p *proxy) frames(t *testing.T) *frames {
	t.Helper()
	connection := p.dial(t, "h2")
	if _, err := io.WriteString(connection, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	f := &frames{Framer: http2.NewFramer(connection, connection), connection: connection}
	f.encoder = hpack.NewEncoder(&f.block)
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return f
}

// encode headers relative to those sent before.
func (f *frames) encode(fields ...hpack.HeaderField) []byte {
	f.block.Reset()
	for _, each := range fields {
		_ = f.encoder.WriteField(each) // to a strings.Builder
	}
	return []byte(f.block.String())
}

// pods are the fields of a list of Pods.
func (p *proxy) pods(t *testing.T) []hpack.HeaderField {
	t.Helper()
	return []hpack.HeaderField{
		{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: "x"}, {Name: ":path", Value: "/api/v1/pods"},
		{Name: "authorization", Value: "Bearer " + p.b.Token(t, here, authn.ScopeAPI)},
	}
}

// stillServes checks that others are served afterwards, and that nothing is left of the flood.
func (p *proxy) stillServes(t *testing.T) {
	t.Helper()
	client := p.client(t, true)
	// Of a flood some requests may yet be on their way to the handler while none is in flight.
	peerstest.Await(t, func() string {
		if response, body := do(t, client, p.request(t, http.MethodGet, "/api/v1/nodes", "")); response.StatusCode != http.StatusOK {
			return fmt.Sprintf("%d %s", response.StatusCode, body)
		}
		return ""
	})
	peerstest.Await(t, func() string {
		if got := testutil.ToFloat64(p.metrics.InFlight.WithLabelValues("b")); got != 0 {
			return fmt.Sprintf("%v requests are in flight", got)
		}
		return ""
	})
}

// TestRequestsThatAreResetAtOnceAreBounded: asking and cancelling costs the API server no more
// than the peer's places (CVE-2023-44487).
func TestRequestsThatAreResetAtOnceAreBounded(t *testing.T) {
	const places = 5
	var now, most atomic.Int64
	p := start(t, setup{maxRequests: places, answer: func(w http.ResponseWriter, r *http.Request) {
		count := now.Add(1)
		defer now.Add(-1)
		for seen := most.Load(); count > seen && !most.CompareAndSwap(seen, count); seen = most.Load() {
		}
		if r.URL.Path == "/api/v1/pods" {
			<-r.Context().Done() // it is reset
			return
		}
		_, _ = io.WriteString(w, "{}")
	}})
	f, fields := p.frames(t), p.pods(t)
	for stream := uint32(1); stream < 2*5000; stream += 2 {
		if f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: f.encode(fields...), EndStream: true, EndHeaders: true}) != nil ||
			f.WriteRSTStream(stream, http2.ErrCodeCancel) != nil {
			break // the proxy has ended it
		}
	}
	p.stillServes(t)
	// One that is reset at the proxy may be seen by the API server a little longer.
	if got := most.Load(); got > 4*places {
		t.Errorf("%d requests at a time reached the API server, with %d places", got, places)
	}
}

// TestEndlessHeadersAreRejected: CONTINUATION frames without number (CVE-2023-45288).
func TestEndlessHeadersAreRejected(t *testing.T) {
	p := start(t, setup{})
	f := p.frames(t)
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.encode(p.pods(t)...)}); err != nil {
		t.Fatal(err)
	}
	const most = 4096
	sent := 0
	for ; sent < most; sent++ { // 64 MiB
		if f.WriteContinuation(1, false, f.encode(hpack.HeaderField{Name: "x", Value: strings.Repeat("a", 16000), Sensitive: true})) != nil {
			break
		}
	}
	if sent == most {
		t.Errorf("the proxy took %d frames of headers", sent)
	}
	p.stillServes(t)
}

// TestHeadersThatDecompressToMuchAreRejected: each byte decompresses to thousands (HPACK bomb).
func TestHeadersThatDecompressToMuchAreRejected(t *testing.T) {
	p := start(t, setup{})
	f := p.frames(t)
	fields := p.pods(t)
	for range 5000 {
		fields = append(fields, hpack.HeaderField{Name: "x", Value: strings.Repeat("a", 3000)})
	}
	block := f.encode(fields...)
	if len(block) > 16<<10 {
		t.Fatalf("%d bytes: not packed", len(block))
	}
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndStream: true, EndHeaders: true}); err != nil {
		t.Fatal(err)
	}
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			break // ended
		}
		if headers, ok := frame.(*http2.MetaHeadersFrame); ok {
			if got := headers.PseudoValue("status"); got != "431" {
				t.Errorf("answered %s", got)
			}
			break
		}
	}
	if got := p.backend.take(); len(got) > 0 {
		t.Errorf("arrived %v", got)
	}
	p.stillServes(t)
}

// TestACallerThatDoesNotReadIsCutOff: a list that the caller does not read is neither stored nor read to its end.
func TestACallerThatDoesNotReadIsCutOff(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP/2": true, "HTTP/1.1": false} {
		t.Run(name, func(t *testing.T) {
			left := make(chan struct{})
			p := start(t, setup{writeTimeout: 100 * time.Millisecond, answer: func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/api/v1/pods" {
					_, _ = io.WriteString(w, "{}")
					return
				}
				defer close(left)
				for piece := make([]byte, 64<<10); ; {
					if _, err := w.Write(piece); err != nil {
						return
					}
				}
			}})
			response, err := p.client(t, http2).Do(p.request(t, http.MethodGet, "/api/v1/pods", ""))
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			select {
			case <-left:
			case <-time.After(peerstest.Deadline):
				t.Fatal("the API server still sends")
			}
			if _, err := io.Copy(io.Discard, response.Body); err == nil {
				t.Error("an answer that was cut off ended regularly")
			}
			p.stillServes(t)
		})
	}
}
