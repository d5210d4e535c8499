package server_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/documents"
	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/test/support/exportertest"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

func TestAPublicDocumentIsServedToAnyone(t *testing.T) {
	e := start(t)
	got := e.ask(http.MethodGet, metadata.PublicPath)
	want := e.documents.Public.Current()
	if got.code != http.StatusOK || got.body != e.own.PublicJSON(t) || got.header.Get("ETag") != want.ETag {
		t.Errorf("GET = %+v", got)
	}
	if got.header.Get("Content-Type") != "application/json" || got.header.Get("Cache-Control") != "no-cache" {
		t.Errorf("header = %v", got.header)
	}
	if got.proto != "HTTP/2.0" {
		t.Errorf("spoke %s", got.proto)
	}
	if bundle := e.ask(http.MethodGet, metadata.SPIFFEBundlePath); bundle.code != http.StatusOK || !strings.Contains(bundle.body, `"keys"`) {
		t.Errorf("SPIFFE bundle = %+v", bundle)
	}
	head := e.ask(http.MethodHead, metadata.PublicPath)
	if head.code != http.StatusOK || head.body != "" || head.header.Get("Content-Length") != strconv.Itoa(len(got.body)) || head.header.Get("ETag") != want.ETag {
		t.Errorf("HEAD = %+v", head)
	}
}

func TestADocumentOfManyFramesArrivesWhole(t *testing.T) {
	e := start(t)
	for index := range 400 {
		e.publish(fmt.Sprintf("api-%03d", index))
	}
	want := string(e.documents.Federation.Current().Body)
	if len(want) < 32<<10 {
		t.Fatalf("the document has %d bytes only", len(want))
	}
	got := e.ask(http.MethodGet, metadata.FederationPath, bearer(e.federated.Token(t, e.own.UUID, authn.ScopePrivateFederation))...)
	if got.code != http.StatusOK || got.proto != "HTTP/2.0" || got.body != want {
		t.Errorf("got %d by %s, %d bytes of %d", got.code, got.proto, len(got.body), len(want))
	}
}

func TestADocumentTheCallerHasIsNotSentAgain(t *testing.T) {
	e := start(t)
	etag := e.documents.Public.Current().ETag
	for name, test := range map[string]struct {
		method, ifNoneMatch string
		want                int
	}{
		"the tag":                {http.MethodGet, etag, http.StatusNotModified},
		"the tag, with HEAD":     {http.MethodHead, etag, http.StatusNotModified},
		"the tag, weak, in list": {http.MethodGet, `"old", W/` + etag, http.StatusNotModified},
		"any":                    {http.MethodGet, "*", http.StatusNotModified},
		"an old tag":             {http.MethodGet, `"old"`, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			got := e.ask(test.method, metadata.PublicPath, "If-None-Match", test.ifNoneMatch)
			if got.code != test.want || got.header.Get("ETag") != etag || got.header.Get("Cache-Control") != "no-cache" {
				t.Errorf("got %+v", got)
			}
			if test.want == http.StatusNotModified && got.body != "" {
				t.Errorf("304 with a body: %q", got.body)
			}
		})
	}
}

func TestOnlyDocumentsServedAreCounted(t *testing.T) {
	e := start(t)
	etag := e.documents.Public.Current().ETag
	for name, test := range map[string]struct {
		method, path string
		header       []string
		want         int
		counts       bool
	}{
		"a document":                         {http.MethodGet, metadata.PublicPath, nil, http.StatusOK, true},
		"one the caller has":                 {http.MethodGet, metadata.PublicPath, []string{"If-None-Match", etag}, http.StatusNotModified, true},
		"a private one, without a token":     {http.MethodGet, metadata.FederationPath, nil, http.StatusUnauthorized, false},
		"a private one, with a false token":  {http.MethodGet, metadata.FederationPath, bearer("x.y.z"), http.StatusUnauthorized, false},
		"something else":                     {http.MethodGet, "private/secrets.json", nil, http.StatusNotFound, false},
		"a document, in a way that is wrong": {http.MethodDelete, metadata.PublicPath, nil, http.StatusMethodNotAllowed, false},
	} {
		t.Run(name, func(t *testing.T) {
			before := e.handler.Requests()
			got := e.ask(test.method, test.path, test.header...)
			if got.code != test.want {
				t.Fatalf("answered %d, want %d", got.code, test.want)
			}
			want := before
			if test.counts {
				want++
			}
			// It is counted right after the answer.
			peerstest.Await(t, func() string {
				if count := e.handler.Requests(); count != want {
					return fmt.Sprintf("%d are counted after %d, want %d", count, before, want)
				}
				return ""
			})
		})
	}
	if count := e.handler.Requests(); count != 2 {
		t.Errorf("%d are counted in the end, want 2", count)
	}
}

func TestRequestsForNoDocumentAreRejected(t *testing.T) {
	e := start(t)
	for name, test := range map[string]struct {
		method, path string
		want         int
		allow        string
	}{
		"an unknown path":        {http.MethodGet, "public/other.json", http.StatusNotFound, ""},
		"a folder":               {http.MethodGet, "public/", http.StatusNotFound, ""},
		"the endpoint itself":    {http.MethodGet, "", http.StatusNotFound, ""},
		"a path that goes back":  {http.MethodGet, "public/../public/public.json", http.StatusNotFound, ""},
		"a path of another host": {http.MethodGet, "../public/public.json", http.StatusNotFound, ""},
		"POST":                   {http.MethodPost, metadata.PublicPath, http.StatusMethodNotAllowed, "GET, HEAD"},
		"DELETE without a token": {http.MethodDelete, metadata.FederationPath, http.StatusMethodNotAllowed, "GET, HEAD"},
		"OPTIONS":                {http.MethodOptions, metadata.PublicPath, http.StatusMethodNotAllowed, "GET, HEAD"},
	} {
		t.Run(name, func(t *testing.T) {
			got := e.ask(test.method, test.path)
			if got.code != test.want || got.header.Get("Allow") != test.allow {
				t.Errorf("got %+v", got)
			}
		})
	}
	request, err := http.NewRequest(http.MethodGet, e.url+metadata.PublicPath, strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	response, err := e.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusBadRequest {
		t.Errorf("with a body: %s", response.Status)
	}
}

func TestNothingIsServedBeforeEverythingWasListed(t *testing.T) {
	e := start(t, func(e *exporter) { e.notReady = errNotSynced })
	for _, path := range []string{metadata.PublicPath, metadata.SPIFFEBundlePath, metadata.FederationPath, metadata.MulticlusterPath} {
		got := e.ask(http.MethodGet, path, bearer(e.federated.Token(t, e.own.UUID, authn.ScopePrivateFederation))...)
		if got.code != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
			t.Errorf("%s: %+v", path, got)
		}
	}
}

func TestADocumentThatIsNotKnownYetIsUnavailableAndNotEmpty(t *testing.T) {
	e := start(t, func(e *exporter) {
		delete(e.configMap.Data, documents.PublicKey)
		delete(e.configMap.Data, documents.IngressGatewaysKey)
	})
	for path, header := range map[string][]string{
		metadata.PublicPath:     {"If-None-Match", `"x"`, "Prefer", "wait=50"},
		metadata.FederationPath: bearer(e.federated.Token(t, e.own.UUID, authn.ScopePrivateFederation)),
	} {
		got := e.ask(http.MethodGet, path, header...)
		if got.code != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" || got.header.Get("Preference-Applied") != "" {
			t.Errorf("%s: %+v", path, got)
		}
	}
}

func TestPrivateDocumentsAreForPeersOfTheRightKind(t *testing.T) {
	e := start(t)
	e.publish("web")
	const federation, multicluster = metadata.FederationPath, metadata.MulticlusterPath
	own := e.own.UUID
	for name, test := range map[string]struct {
		path  string
		token string
		want  int
		says  string
	}{
		"a federation peer reads federation.json": {
			federation, e.federated.Token(t, own, authn.ScopePrivateFederation), http.StatusOK, "web.shop.svc.cluster-own.local"},
		"a multicluster peer reads multicluster.json": {
			multicluster, e.multicluster.Token(t, own, authn.ScopePrivateMulticluster), http.StatusOK, "api.example.com"},
		"a multicluster peer does not read federation.json": {
			federation, e.multicluster.Token(t, own, authn.ScopePrivateFederation), http.StatusUnauthorized, "unknown"},
		"a federation peer does not read multicluster.json": {
			multicluster, e.federated.Token(t, own, authn.ScopePrivateMulticluster), http.StatusUnauthorized, "unknown"},
		"a token for the other path": {
			federation, e.federated.Token(t, own, authn.ScopePrivateMulticluster), http.StatusUnauthorized, "scope"},
		"a token for another cluster": {
			federation, e.federated.Token(t, "uuid-other", authn.ScopePrivateFederation), http.StatusUnauthorized, "aud"},
		"an unknown caller": {
			federation, e.unrelated.Token(t, own, authn.ScopePrivateFederation), http.StatusUnauthorized, "unknown"},
		"this cluster itself": {
			federation, e.own.Token(t, own, authn.ScopePrivateFederation), http.StatusUnauthorized, "unknown"},
		"no token": {federation, "", http.StatusUnauthorized, "no bearer token"},
		"rubbish":  {federation, "rubbish", http.StatusUnauthorized, "not a signed JWT"},
	} {
		t.Run(name, func(t *testing.T) {
			got := e.ask(http.MethodGet, test.path, bearer(test.token)...)
			if got.code != test.want || !strings.Contains(got.body, test.says) {
				t.Errorf("got %d %s", got.code, got.body)
			}
			if challenge := got.header.Get("WWW-Authenticate"); (test.want == http.StatusUnauthorized) != strings.HasPrefix(challenge, "Bearer ") {
				t.Errorf("WWW-Authenticate: %q", challenge)
			}
			if got.code != http.StatusUnauthorized {
				return
			}
			for _, known := range []string{"uuid-", "shop", "10.0.0.1", "cluster-own", "IstioFederation"} {
				if strings.Contains(got.body+fmt.Sprint(got.header), known) {
					t.Errorf("the rejection reveals %q: %s %v", known, got.body, got.header)
				}
			}
		})
	}
	if got := e.ask(http.MethodGet, federation, "Authorization", "bearer "+e.federated.Token(t, own, authn.ScopePrivateFederation)); got.code != http.StatusOK {
		t.Errorf("the scheme in lower case: %+v", got)
	}
	if got := e.ask(http.MethodGet, federation, "Authorization", "Basic "+e.federated.Token(t, own, authn.ScopePrivateFederation)); got.code != http.StatusUnauthorized {
		t.Errorf("another scheme: %+v", got)
	}
}

func TestAClusterWithoutMulticlusterHasNoMulticlusterDocument(t *testing.T) {
	e := start(t, func(e *exporter) { delete(e.configMap.Data, documents.MulticlusterKey) })
	if got := e.ask(http.MethodGet, metadata.MulticlusterPath, bearer(e.multicluster.Token(t, e.own.UUID, authn.ScopePrivateMulticluster))...); got.code != http.StatusNotFound {
		t.Errorf("to a peer: %+v", got)
	}
	if got := e.ask(http.MethodGet, metadata.MulticlusterPath); got.code != http.StatusUnauthorized {
		t.Errorf("to an unknown caller: %+v", got)
	}
}

func TestAReplacedCertificateIsUsedWithoutARestart(t *testing.T) {
	e := start(t)
	e.ask(http.MethodGet, metadata.PublicPath)

	replacement, key := exportertest.CertificatePEM(t, "replacement", false)
	e.writeCertificate(replacement, key)
	e.trust(replacement)
	peerstest.Await(t, func() string {
		e.client.CloseIdleConnections()
		if got, err := e.try(http.MethodGet, metadata.PublicPath); err != nil || got.code != http.StatusOK {
			return fmt.Sprintf("with trust in the new certificate only: %+v, %v", got, err)
		}
		return ""
	})
}
