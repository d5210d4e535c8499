package server_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/documents"
	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/peers"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

// waiting is the header of a peer's long poll for the federation document.
func (e *exporter) waiting(seconds int) []string {
	return append(bearer(e.federated.Token(e.t, e.own.UUID, authn.ScopePrivateFederation)),
		"If-None-Match", e.documents.Federation.Current().ETag, "Prefer", fmt.Sprint("wait=", seconds))
}

func TestAHeldRequestIsAnsweredAsSoonAsTheDocumentChanges(t *testing.T) {
	e := start(t)
	answers := e.hold(1, metadata.FederationPath, e.waiting(50)...)
	e.publish("web")
	got := e.receive(answers)
	if got.code != http.StatusOK || !strings.Contains(got.body, "web.shop") || got.header.Get("ETag") != e.documents.Federation.Current().ETag {
		t.Errorf("got %+v", got)
	}
	if got.header.Get("Preference-Applied") != "wait=50" {
		t.Errorf("Preference-Applied: %q", got.header.Get("Preference-Applied"))
	}
}

func TestAHeldRequestForAPrivateDocumentIsAnsweredWhenThePublicOneChanges(t *testing.T) {
	for name, test := range map[string]struct {
		path   string
		header func(*exporter) []string
	}{
		"a federation peer": {metadata.FederationPath, func(e *exporter) []string { return e.waiting(50) }},
		"a multicluster peer": {metadata.MulticlusterPath, func(e *exporter) []string {
			return append(bearer(e.multicluster.Token(e.t, e.own.UUID, authn.ScopePrivateMulticluster)),
				"If-None-Match", e.documents.Multicluster.Current().ETag, "Prefer", "wait=50")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			e := start(t)
			header := test.header(e)
			before := e.ask(http.MethodGet, test.path, header[:2]...)
			answers := e.hold(1, test.path, header...)
			e.configMap.Data[documents.PublicKey] = e.unrelated.PublicJSON(t)
			e.update()
			got := e.receive(answers)
			if got.code != http.StatusOK || got.body != before.body || got.header.Get("ETag") == before.header.Get("ETag") {
				t.Errorf("got %+v after %+v", got, before)
			}
			if public := e.ask(http.MethodGet, metadata.PublicPath); public.body != e.unrelated.PublicJSON(t) {
				t.Errorf("notified of a public document that does not exist yet: %+v", public)
			}
		})
	}
}

func TestAHeldRequestIsAnsweredWhenItsTimeHasPassed(t *testing.T) {
	e := start(t)
	got := e.ask(http.MethodGet, metadata.FederationPath, e.waiting(1)...)
	if got.code != http.StatusNotModified || got.header.Get("Preference-Applied") != "wait=1" || got.header.Get("ETag") == "" {
		t.Errorf("got %+v", got)
	}
	if got.took < time.Second {
		t.Errorf("answered after %s", got.took)
	}
	if waiters := testutil.ToFloat64(e.metrics.Held.WithLabelValues(metadata.FederationPath)); waiters != 0 {
		t.Errorf("%v waiters afterwards", waiters)
	}
}

func TestOnlyARequestForAnUnchangedDocumentIsHeld(t *testing.T) {
	e := start(t)
	token := bearer(e.federated.Token(t, e.own.UUID, authn.ScopePrivateFederation))
	etag := e.documents.Federation.Current().ETag
	for name, test := range map[string]struct {
		header  []string
		want    int
		applied string
	}{
		"an old tag is answered at once, and waiting is understood": {[]string{"If-None-Match", `"old"`, "Prefer", "wait=50"}, http.StatusOK, "wait=50"},
		"no tag":  {[]string{"Prefer", "wait=50"}, http.StatusOK, ""},
		"no wait": {[]string{"If-None-Match", etag}, http.StatusNotModified, ""},
		"wait=0":  {[]string{"If-None-Match", etag, "Prefer", "wait=0"}, http.StatusNotModified, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := e.ask(http.MethodGet, metadata.FederationPath, append(test.header, token...)...)
			if got.code != test.want || got.header.Get("Preference-Applied") != test.applied {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestStoppingAnswersHeldRequestsAtOnce(t *testing.T) {
	e := start(t)
	private := e.hold(1, metadata.FederationPath, e.waiting(50)...)
	public := e.hold(1, metadata.PublicPath, "If-None-Match", "*", "Prefer", "wait=50")
	e.stop()
	for _, answers := range []<-chan answer{private, public} {
		if got := e.receive(answers); got.code != http.StatusNotModified {
			t.Errorf("got %+v", got)
		}
	}
	select {
	case err := <-e.stopped:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(peerstest.Deadline):
		t.Fatal("the server does not stop")
	}
}

func TestAHeldRequestEndsWithThePermission(t *testing.T) {
	for name, entries := range map[string]func(*exporter) map[string]peers.Entry{
		"the resource is deleted": func(e *exporter) map[string]peers.Entry {
			return map[string]peers.Entry{e.multicluster.UUID: e.multicluster.Entry("IstioMulticluster")}
		},
		"its key is another": func(e *exporter) map[string]peers.Entry {
			return map[string]peers.Entry{e.federated.UUID: e.unrelated.Entry("IstioFederation")}
		},
		"it became a peer of another kind": func(e *exporter) map[string]peers.Entry {
			return map[string]peers.Entry{e.federated.UUID: e.federated.Entry("IstioMulticluster")}
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := start(t)
			answers := e.hold(1, metadata.FederationPath, e.waiting(50)...)
			e.setPeers(entries(e))
			got := e.receive(answers)
			if got.code != http.StatusUnauthorized || got.header.Get("Preference-Applied") != "" || strings.Contains(got.body, "10.0.0.1") {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestAHeldRequestOutlivesChangesOfOtherPeers(t *testing.T) {
	e := start(t)
	answers := e.hold(1, metadata.FederationPath, e.waiting(50)...)
	e.setPeers(map[string]peers.Entry{e.federated.UUID: e.federated.Entry("IstioFederation")})
	e.publish("web")
	if got := e.receive(answers); got.code != http.StatusOK || !strings.Contains(got.body, "web.shop") {
		t.Errorf("got %+v", got)
	}
}

func TestACallerWithTooManyHeldRequestsIsAnsweredAtOnce(t *testing.T) {
	e := start(t)
	e.setPeers(map[string]peers.Entry{
		e.federated.UUID: e.federated.Entry("IstioFederation"), e.unrelated.UUID: e.unrelated.Entry("IstioFederation"),
	})
	var held []<-chan answer
	for index := range 16 {
		held = append(held, e.hold(index+1, metadata.FederationPath, e.waiting(50)...))
	}
	got := e.ask(http.MethodGet, metadata.FederationPath, e.waiting(50)...)
	if got.code != http.StatusNotModified || got.header.Get("Preference-Applied") != "" {
		t.Errorf("the request beyond the limit got %+v", got)
	}
	e.federated = e.unrelated
	held = append(held, e.hold(17, metadata.FederationPath, e.waiting(50)...))
	e.publish("web")
	for _, answers := range held {
		if got := e.receive(answers); got.code != http.StatusOK {
			t.Errorf("got %+v", got)
		}
	}
}

func TestADocumentThatIsWithdrawnEndsTheHold(t *testing.T) {
	e := start(t)
	answers := e.hold(1, metadata.MulticlusterPath, append(bearer(e.multicluster.Token(t, e.own.UUID, authn.ScopePrivateMulticluster)),
		"If-None-Match", "*", "Prefer", "wait=50")...)
	e.documents.Multicluster.Withdraw()
	if got := e.receive(answers); got.code != http.StatusNotFound {
		t.Errorf("got %+v", got)
	}
}

func TestACallerThatLeavesIsForgotten(t *testing.T) {
	e := start(t)
	e.client.Timeout = 200 * time.Millisecond
	if got, err := e.try(http.MethodGet, metadata.FederationPath, e.waiting(50)...); err == nil {
		t.Fatalf("got %+v", got)
	}
	peerstest.Await(t, func() string {
		if testutil.ToFloat64(e.metrics.Held.WithLabelValues(metadata.FederationPath)) != 0 {
			return "the request is still held"
		}
		return ""
	})
	peerstest.Await(t, func() string {
		if testutil.ToFloat64(e.metrics.Requests.WithLabelValues(metadata.FederationPath, "499")) != 1 {
			return "the request is not counted"
		}
		return ""
	})
}

func TestTwoHundredCallersAreAnsweredByOneChange(t *testing.T) {
	const clusters, callers = 20, 200
	e := start(t)
	entries, headers := map[string]peers.Entry{}, [][]string{}
	for index := range clusters {
		e.federated = peerstest.NewPeer(t, strconv.Itoa(index))
		entries[e.federated.UUID] = e.federated.Entry("IstioFederation")
		headers = append(headers, e.waiting(50))
	}
	e.setPeers(entries)
	var all []<-chan answer
	for index := range callers {
		all = append(all, e.hold(index+1, metadata.FederationPath, headers[index%clusters]...))
	}
	e.publish("web")
	for _, answers := range all {
		if got := e.receive(answers); got.code != http.StatusOK {
			t.Fatalf("got %+v", got)
		}
	}
}
