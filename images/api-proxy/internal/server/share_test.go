package server_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

func TestAPeerHasAShareOfTheConnections(t *testing.T) {
	source := newEvents()
	p := start(t, setup{maxConnections: 100, answer: source.answer}) // of which a peer has twenty
	c := peerstest.NewPeer(t, "c")
	p.trust(t, p.b, c)
	http1 := p.client(t, false)
	for range 20 {
		watch(t, http1, p.request(t, http.MethodGet, podWatch, ""))
	}
	response, body := do(t, http1, p.request(t, http.MethodGet, podWatch, ""))
	if response.StatusCode != http.StatusTooManyRequests || response.Header.Get("Retry-After") == "" || !strings.Contains(body, "use HTTP/2") {
		t.Errorf("one more connection: %d %s", response.StatusCode, body)
	}
	ofC := p.request(t, http.MethodGet, "/api/v1/pods", "")
	ofC.Header.Set("Authorization", "Bearer "+c.Token(t, here, authn.ScopeAPI))
	if response, body := do(t, http1, ofC); response.StatusCode != http.StatusOK {
		t.Errorf("another peer: %d %s", response.StatusCode, body)
	}
}

func TestAPeersListsOfEverythingAreFew(t *testing.T) {
	hold, arrived := make(chan struct{}), make(chan struct{})
	p := start(t, setup{answer: func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("limit") != "500" || r.URL.Query().Get("resourceVersion") == "0" {
			arrived <- struct{}{}
			<-hold
		}
		_, _ = io.WriteString(w, "{}")
	}})
	client := p.client(t, true)
	codes := make(chan int, 20)
	for index := range 20 {
		target := "/api/v1/pods"
		if index%2 == 0 {
			target += "?limit=500&resourceVersion=0" // the API server answers from its cache, whole
		}
		request := p.request(t, http.MethodGet, target, "")
		go func() {
			response, err := client.Do(request)
			if err != nil {
				codes <- 0
				return
			}
			response.Body.Close()
			codes <- response.StatusCode
		}()
		<-arrived
	}
	for target, want := range map[string]int{
		"/api/v1/services":           http.StatusTooManyRequests,
		"/api/v1/services?limit=0":   http.StatusTooManyRequests,
		"/api/v1/services?limit=500": http.StatusOK,
		"/api/v1/secrets":            http.StatusOK, // the proxy's own answer
	} {
		response, body := do(t, client, p.request(t, http.MethodGet, target, ""))
		if response.StatusCode != want || want == http.StatusTooManyRequests && !strings.Contains(body, "lists without pages") {
			t.Errorf("%s: %d %s", target, response.StatusCode, body)
		}
	}
	close(hold)
	for range 20 {
		if code := <-codes; code != http.StatusOK {
			t.Errorf("a list within the limit: %d", code)
		}
	}
	if response, body := do(t, client, p.request(t, http.MethodGet, "/api/v1/services?limit=500", "")); response.StatusCode != http.StatusOK {
		t.Errorf("afterwards: %d %s", response.StatusCode, body)
	}
}

// TestTheRequestsOfAllPeersAreLimitedAndEachHasItsPart: eleven peers flood with all that they can.
func TestTheRequestsOfAllPeersAreLimitedAndEachHasItsPart(t *testing.T) {
	source := newEvents()
	p := start(t, setup{answer: source.answer, maxWatches: 10}) // all together have a hundred, each of twelve at least four
	crowd := make([]peerstest.Peer, 11)
	for index := range crowd {
		crowd[index] = peerstest.NewPeer(t, fmt.Sprint("hostile-", index))
	}
	p.trust(t, slices.Concat(crowd, []peerstest.Peer{p.b})...)
	client := p.client(t, true)
	ask := func(by peerstest.Peer) *http.Request {
		request := p.request(t, http.MethodGet, podWatch, "")
		request.Header.Set("Authorization", "Bearer "+by.Token(t, here, authn.ScopeAPI))
		return request
	}
	limits := map[string]int{}
	for _, each := range crowd {
		for range 12 {
			response, err := client.Do(ask(each))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = response.Body.Close() })
			if response.StatusCode != http.StatusTooManyRequests {
				continue
			}
			body, _ := io.ReadAll(response.Body)
			switch {
			case response.Header.Get("Retry-After") == "":
				t.Error("a rejection without Retry-After")
			case strings.Contains(string(body), "from this cluster (limit 10)"):
				limits["own"]++
			case strings.Contains(string(body), "all clusters together have too many concurrent watches (limit 100)"):
				limits["all"]++
			default:
				t.Errorf("%s", body)
			}
		}
	}
	if limits["own"] == 0 || limits["all"] == 0 {
		t.Errorf("rejections by limit: %v", limits)
	}
	for range 4 {
		watch(t, client, ask(p.b))
	}
	if got := testutil.ToFloat64(p.metrics.Limited.WithLabelValues("hostile-10", "watches")); got == 0 {
		t.Error("the metric does not name the peer")
	}
	if logged := p.logs.String(); !strings.Contains(logged, `"reason":"limit"`) || !strings.Contains(logged, `"peer":"hostile-10"`) {
		t.Errorf("the log does not name the peer: %s", logged)
	}
}
