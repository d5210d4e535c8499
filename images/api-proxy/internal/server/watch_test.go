package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/peers"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

// events is a backend whose watches send the events of the test.
type events struct {
	send chan string
	// open counts watches that the backend holds.
	open atomic.Int64
}

func newEvents() *events { return &events{send: make(chan string)} }

func (e *events) answer(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("watch") != "true" {
		_, _ = io.WriteString(w, "{}")
		return
	}
	e.open.Add(1)
	defer e.open.Add(-1)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	for {
		select {
		case <-r.Context().Done():
			return
		case line, more := <-e.send:
			if !more {
				return
			}
			_, _ = io.WriteString(w, line+"\n")
			_ = http.NewResponseController(w).Flush()
		}
	}
}

func (e *events) waitOpen(tb testing.TB, want int64) {
	tb.Helper()
	peerstest.Await(tb, func() string {
		if got := e.open.Load(); got != want {
			return fmt.Sprintf("the API server holds %d watches, want %d", got, want)
		}
		return ""
	})
}

// watch begins one and returns its lines; the channel is closed when it ends.
func watch(tb testing.TB, client *http.Client, r *http.Request) <-chan string {
	tb.Helper()
	response, err := client.Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		tb.Fatalf("%d %s", response.StatusCode, body)
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		defer response.Body.Close()
		for scanner := bufio.NewScanner(response.Body); scanner.Scan(); {
			select {
			case lines <- scanner.Text():
			case <-r.Context().Done():
				return
			}
		}
	}()
	return lines
}

func next(tb testing.TB, lines <-chan string) (line string, more bool) {
	tb.Helper()
	select {
	case line, more = <-lines:
	case <-time.After(peerstest.Deadline):
		tb.Fatal("nothing came, and the watch did not end")
	}
	return line, more
}

const podWatch = "/api/v1/pods?watch=true&allowWatchBookmarks=true&timeoutSeconds=300"

func TestEventsAreForwardedOneByOne(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP/2": true, "HTTP/1.1": false} {
		t.Run(name, func(t *testing.T) {
			source := newEvents()
			p := start(t, setup{answer: source.answer})
			lines := watch(t, p.client(t, http2), p.request(t, http.MethodGet, podWatch, ""))
			source.waitOpen(t, 1)
			for i := range 20 { // each arrives before the next one is sent
				event := fmt.Sprintf(`{"type":"ADDED","number":%d}`, i)
				source.send <- event
				if line, more := next(t, lines); line != event || !more {
					t.Fatalf("event %d came as %q, %v", i, line, more)
				}
			}
			close(source.send) // the API server ends it
			if line, more := next(t, lines); more {
				t.Errorf("the watch continues with %q", line)
			}
		})
	}
}

func TestAWatchEndsWithinASecondOfThePermission(t *testing.T) {
	other := peerstest.NewPeer(t, "o")
	for name, change := range map[string]func(*proxy){
		"no peer is accepted any more": func(p *proxy) { p.trust(t) },
		"another one is in its place":  func(p *proxy) { p.trust(t, other) },
		"its resource alone is deleted": func(p *proxy) {
			p.registry.SetExisting(peerstest.Existing(peerstest.Entries(v1alpha1.IstioMulticlusterKind, other)))
		},
		"its resource has a successor": func(p *proxy) { p.registry.SetExisting(peers.ExistingOf(successor(p.b))) },
		"the key changes": func(p *proxy) {
			replaced := p.b
			replaced.Keys = other.Keys
			p.trust(t, replaced)
		},
	} {
		t.Run(name, func(t *testing.T) {
			source := newEvents()
			p := start(t, setup{answer: source.answer})
			client := p.client(t, true)
			pods := watch(t, client, p.request(t, http.MethodGet, podWatch, ""))
			secrets := watch(t, client, p.request(t, http.MethodGet, "/api/v1/secrets?watch=true", ""))
			source.waitOpen(t, 1)
			p.trust(t, p.b, other) // changes of others have no effect
			source.send <- "still here"
			if line, more := next(t, pods); line != "still here" || !more {
				t.Fatalf("got %q, %v", line, more)
			}

			change(p)
			for _, lines := range []<-chan string{pods, secrets} {
				if line, more := next(t, lines); more {
					t.Errorf("the watch continues with %q", line)
				}
			}
			source.waitOpen(t, 0)
			if got := testutil.ToFloat64(p.metrics.Withdrawn); got != 2 {
				t.Errorf("withdrawn_total = %v", got)
			}
			r := p.request(t, http.MethodGet, podWatch, "")
			if response, body := do(t, client, r); response.StatusCode != http.StatusUnauthorized {
				t.Errorf("and again: %d %s", response.StatusCode, body)
			}
		})
	}
}

// successor is another resource of the same name.
func successor(of peerstest.Peer) peers.Resource {
	resource := of.Resource(v1alpha1.IstioMulticlusterKind)
	resource.UID = "another"
	return resource
}

func TestAWatchThatTheCallerClosesEndsAtTheAPIServer(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP/2": true, "HTTP/1.1": false} {
		t.Run(name, func(t *testing.T) {
			source := newEvents()
			p := start(t, setup{answer: source.answer})
			ctx, leave := context.WithCancel(t.Context())
			watch(t, p.client(t, http2), p.request(t, http.MethodGet, podWatch, "").WithContext(ctx))
			source.waitOpen(t, 1)
			leave()
			source.waitOpen(t, 0)
			peerstest.Await(t, func() string {
				if got := testutil.ToFloat64(p.metrics.Watches.WithLabelValues("b")); got != 0 {
					return fmt.Sprintf("watches = %v", got)
				}
				return ""
			})
		})
	}
}

func TestStoppingEndsWatchesAndLetsRequestsFinish(t *testing.T) {
	source := newEvents()
	list := make(chan struct{})
	listing := make(chan struct{})
	p := start(t, setup{answer: func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/nodes" {
			close(listing)
			<-list
		}
		source.answer(w, r)
	}})
	client := p.client(t, true)
	lines := watch(t, client, p.request(t, http.MethodGet, podWatch, ""))
	source.waitOpen(t, 1)
	listed := make(chan string, 1)
	request := p.request(t, http.MethodGet, "/api/v1/nodes", "")
	go func() {
		response, err := client.Do(request)
		if err != nil {
			listed <- err.Error()
			return
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		listed <- fmt.Sprint(response.StatusCode, " ", string(body), " ", err)
	}()
	<-listing
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		p.stop()
	}()
	if line, more := next(t, lines); more {
		t.Errorf("the watch continues with %q", line)
	}
	close(list)
	if got := <-listed; got != "200 {} <nil>" {
		t.Errorf("the list ended as %q", got)
	}
	select {
	case <-stopped:
	case <-time.After(peerstest.Deadline):
		t.Error("the proxy does not stop")
	}
}

func TestALimitForEachPeer(t *testing.T) {
	source := newEvents()
	p := start(t, setup{answer: source.answer, maxWatches: 2})
	c := peerstest.NewPeer(t, "c")
	p.trust(t, p.b, c)
	client := p.client(t, true)
	ctx, leave := context.WithCancel(t.Context())
	watch(t, client, p.request(t, http.MethodGet, podWatch, "").WithContext(ctx))
	watch(t, client, p.request(t, http.MethodGet, "/api/v1/secrets?watch=true", ""))
	response, body := do(t, client, p.request(t, http.MethodGet, podWatch, ""))
	if response.StatusCode != http.StatusTooManyRequests || response.Header.Get("Retry-After") == "" {
		t.Errorf("a third watch: %d %s", response.StatusCode, body)
	}
	if response, body = do(t, client, p.request(t, http.MethodGet, "/api/v1/pods", "")); response.StatusCode != http.StatusOK {
		t.Errorf("a list: %d %s", response.StatusCode, body)
	}
	ofC := p.request(t, http.MethodGet, podWatch, "")
	ofC.Header.Set("Authorization", "Bearer "+c.Token(t, here, authn.ScopeAPI))
	watch(t, client, ofC)
	leave()
	peerstest.Await(t, func() string {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		response, err := client.Do(p.request(t, http.MethodGet, podWatch, "").WithContext(ctx))
		if err != nil {
			return err.Error()
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return response.Status
		}
		return ""
	})
}

func TestRequestsBeyondTheLimitWaitTheirTurn(t *testing.T) {
	hold, arrived := make(chan struct{}), make(chan struct{}, 1)
	p := start(t, setup{maxRequests: 1, answer: func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-hold
		_, _ = io.WriteString(w, "{}")
	}})
	client := p.client(t, true)
	first := make(chan int, 1)
	request := p.request(t, http.MethodGet, "/api/v1/pods", "")
	go func() {
		response, err := client.Do(request)
		if err != nil {
			first <- 0
			return
		}
		response.Body.Close()
		first <- response.StatusCode
	}()
	<-arrived
	if response, body := do(t, client, p.request(t, http.MethodGet, "/version", "")); response.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a second request: %d %s", response.StatusCode, body)
	}
	close(hold)
	if code := <-first; code != http.StatusOK {
		t.Errorf("the first request: %d", code)
	}
}

func TestAnIncompleteAnswerIsAborted(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP/2": true, "HTTP/1.1": false} {
		t.Run(name, func(t *testing.T) {
			p := start(t, setup{answer: func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, `{"items":[`)
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}})
			response, err := p.client(t, http2).Do(p.request(t, http.MethodGet, "/api/v1/pods", ""))
			if err != nil {
				return // cut off before its headers were sent
			}
			defer response.Body.Close()
			if body, err := io.ReadAll(response.Body); err == nil {
				t.Errorf("%q ended as if it were whole", body)
			}
		})
	}
}

func TestAReplacedTokenIsUsed(t *testing.T) {
	var wanted atomic.Pointer[string]
	token := ownToken
	wanted.Store(&token)
	p := start(t, setup{
		answer: func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer "+*wanted.Load() {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			_, _ = io.WriteString(w, "{}")
		},
	})
	client := p.client(t, true)
	ask := func(want int) []arrived {
		t.Helper()
		if response, body := do(t, client, p.request(t, http.MethodGet, "/api/v1/pods", "")); response.StatusCode != want {
			t.Fatalf("%d %s", response.StatusCode, body)
		}
		return p.backend.take()
	}
	replace := func(next string, accepted bool) {
		t.Helper()
		if err := os.WriteFile(p.token, []byte(next), 0o600); err != nil {
			t.Fatal(err)
		}
		if accepted {
			wanted.Store(&next)
		}
	}
	ask(http.StatusOK)
	replace("second", true)
	if got := ask(http.StatusOK); len(got) != 2 { // rejected once, read again, and asked again
		t.Errorf("%d requests arrived", len(got))
	}
	replace("third", false) // the API server does not know it, and still accepts the second
	if got := ask(http.StatusOK); len(got) != 1 {
		t.Errorf("%d requests arrived", len(got))
	}
	unknown := "unknown"
	wanted.Store(&unknown)
	if got := ask(http.StatusServiceUnavailable); len(got) != 2 || got[1].header.Get("Authorization") != "Bearer third" {
		t.Errorf("arrived %v", got)
	}
	if logs := p.logs.String(); !strings.Contains(logs, "rejects the token of the proxy's ServiceAccount") ||
		strings.Contains(logs, "second") || strings.Contains(logs, "third") {
		t.Errorf("logs:\n%s", logs)
	}
	if err := os.Remove(p.token); err != nil {
		t.Fatal(err)
	}
	ask(http.StatusServiceUnavailable)
	replace("fourth", true)
	ask(http.StatusOK)
}

func TestNotReadyUntilThePeersAreKnown(t *testing.T) {
	p := start(t, setup{ready: func() error { return errors.New("waiting") }})
	response, body := do(t, p.client(t, true), p.request(t, http.MethodGet, "/api/v1/pods", ""))
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" || strings.Contains(body, "waiting") {
		t.Errorf("%d %s", response.StatusCode, body)
	}
}

func TestAnUnreachableAPIServerIsServiceUnavailable(t *testing.T) {
	p := start(t, setup{})
	p.backend.Close()
	response, body := do(t, p.client(t, true), p.request(t, http.MethodGet, "/api/v1/pods", ""))
	if response.StatusCode != http.StatusServiceUnavailable || strings.Contains(body, "127.0.0.1") {
		t.Errorf("%d %s", response.StatusCode, body)
	}
	if got := testutil.ToFloat64(p.metrics.UpstreamErrors.WithLabelValues("unreachable")); got != 1 {
		t.Errorf("upstream_errors_total = %v", got)
	}
}

func TestRejectionsAreLoggedEscapedAndAtABoundedRate(t *testing.T) {
	p := start(t, setup{})
	client := p.client(t, true)
	for range 100 {
		do(t, client, p.request(t, http.MethodGet, `/api/v1/secrets/x%22%0a%7b?`+strings.Repeat("a", 1000), ""))
	}
	do(t, client, p.request(t, http.MethodGet, "/api/v1/pods", "")) // answered: no line
	lines := strings.Split(strings.TrimSpace(p.logs.String()), "\n")
	if len(lines) < 20 || len(lines) > 40 {
		t.Errorf("%d lines", len(lines))
	}
	for _, line := range lines {
		for _, want := range []string{`"reason":"path"`, `"code":400`, `"method":"GET"`, `"target":"/api/v1/secrets/x%22%0a%7b?aaa`, `"peer":"b"`, `"remote":"127.0.0.1:`} {
			if !strings.Contains(line, want) || len(line) > 600 {
				t.Fatalf("line %s lacks %s", line, want)
			}
		}
	}
	if got := testutil.ToFloat64(p.metrics.Rejected.WithLabelValues("path")); got != 100 {
		t.Errorf("refused_total = %v", got)
	}
	if got := testutil.ToFloat64(p.metrics.Requests.WithLabelValues("b", "list", "pods", "200")); got != 1 {
		t.Errorf("requests_total = %v", got)
	}
}

func TestAClientCertificateOfTheConnectionIsEnough(t *testing.T) {
	p := start(t, setup{})
	config := p.tlsConfig()
	config.Certificates = append(config.Certificates, *p.b.Client(t))
	for name, http2 := range map[string]bool{"HTTP/2": true, "HTTP/1.1": false} {
		t.Run(name, func(t *testing.T) {
			transport := &http.Transport{TLSClientConfig: config.Clone(), ForceAttemptHTTP2: http2}
			t.Cleanup(transport.CloseIdleConnections)
			r := p.request(t, http.MethodGet, "/api/v1/pods", "")
			r.Header.Del("Authorization")
			if response, body := do(t, &http.Client{Transport: transport}, r); response.StatusCode != http.StatusOK {
				t.Errorf("%d %s", response.StatusCode, body)
			}
			p.trust(t) // the connection stays, the permission does not
			r = p.request(t, http.MethodGet, "/api/v1/pods", "")
			r.Header.Del("Authorization")
			if response, body := do(t, &http.Client{Transport: transport}, r); response.StatusCode != http.StatusUnauthorized {
				t.Errorf("%d %s", response.StatusCode, body)
			}
			p.trust(t, p.b)
		})
	}
}
