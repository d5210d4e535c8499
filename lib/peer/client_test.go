package peer

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

func peerServer(t *testing.T, handler http.HandlerFunc) (*httptest.Server, Target) {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return server, Target{URL: server.URL + "/metadata/", CA: string(ca)}
}

func TestGetReturnsTheDocumentAndItsETag(t *testing.T) {
	_, target := peerServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		fmt.Fprintf(w, `{"path": %q, "authorization": %q}`, r.URL.Path, r.Header.Get("Authorization"))
	})
	response, err := NewClient().Get(context.Background(), target, Request{Path: "private/federation.json", Token: "t"})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"path": "/metadata/private/federation.json", "authorization": "Bearer t"}`; string(response.Body) != want {
		t.Errorf("body %s, want %s", response.Body, want)
	}
	if response.ETag != `"1"` || response.NotModified || response.WaitApplied {
		t.Errorf("unexpected %+v", response)
	}
}

func TestTheUserInAnEndpointIsSentForPublicDocumentsOnly(t *testing.T) {
	_, target := peerServer(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"authorization": %q}`, r.Header.Get("Authorization"))
	})
	target.URL = strings.Replace(target.URL, "https://", "https://me:secret@", 1)
	for want, token := range map[string]string{"Basic bWU6c2VjcmV0": "", "Bearer t": "t"} {
		response, err := NewClient().Get(context.Background(), target, Request{Path: "x", Token: token})
		if err != nil {
			t.Fatal(err)
		}
		if got := string(response.Body); got != fmt.Sprintf(`{"authorization": %q}`, want) {
			t.Errorf("with token %q the peer got %s", token, got)
		}
	}
}

func TestAPeerWithoutTLSIsNamed(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	_, err := NewClient().Get(context.Background(), Target{URL: strings.Replace(plain.URL, "http://", "https://", 1)}, Request{Path: "x"})
	if !errors.Is(err, http.ErrSchemeMismatch) {
		t.Errorf("got %v", err)
	}
}

func TestGetSendsTheETagAndTheWait(t *testing.T) {
	_, target := peerServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") != `"1"` || r.Header.Get("Prefer") != "wait=55" {
			http.Error(w, fmt.Sprint(r.Header), http.StatusTeapot)
			return
		}
		w.Header().Set("Preference-Applied", "wait=55")
		w.WriteHeader(http.StatusNotModified)
	})
	response, err := NewClient().Get(context.Background(), target, Request{Path: "x", IfNoneMatch: `"1"`, Wait: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if !response.NotModified || !response.WaitApplied {
		t.Errorf("unexpected %+v", response)
	}
}

func TestGetReportsWhyThereIsNoDocument(t *testing.T) {
	answer := func(status int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    Reason
	}{
		"an HTML page with status 200 is no document":    {answer(200, "text/html; charset=utf-8", "<html>login</html>"), NotJSON},
		"an HTML page declared as JSON is no document":   {answer(200, "application/json", "<html>login</html>"), NotJSON},
		"an empty body is no document":                   {answer(200, "application/json", ""), NotJSON},
		"a JSON array is no document":                    {answer(200, "application/json", "[]"), NotJSON},
		"ten megabytes of JSON are too much":             {answer(200, "application/json", `{"a":"`+strings.Repeat("x", 10<<20)+`"}`), TooLarge},
		"401 means the peer does not know us":            {answer(401, "text/plain", "token"), Unauthorized},
		"403 means the peer does not know us":            {answer(403, "text/plain", ""), Unauthorized},
		"404 means a wrong address or a feature off":     {answer(404, "text/plain", ""), NotFound},
		"503 counts as unreachable":                      {answer(503, "application/json", `{"error":"not ready"}`), Unreachable},
		"500 is unexpected":                              {answer(500, "text/plain", ""), BadStatus},
		"a redirect is not followed, it carries a token": {http.RedirectHandler("https://127.0.0.1:1/", http.StatusFound).ServeHTTP, BadStatus},
		"an unrequested 304 is unexpected":               {answer(304, "", ""), BadStatus},
		"a connection that is cut is unreachable":        {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, Unreachable},
	} {
		t.Run(name, func(t *testing.T) {
			_, target := peerServer(t, test.handler)
			_, err := NewClient().Get(context.Background(), target, Request{Path: "private/federation.json", Token: "token"})
			var failed *Error
			if !errors.As(err, &failed) || failed.Reason != test.want {
				t.Fatalf("got %v, want reason %s", err, test.want)
			}
			if !strings.Contains(err.Error(), target.URL) || !strings.Contains(err.Error(), hints[test.want]) {
				t.Errorf("%q does not name the address and the remedy", err)
			}
		})
	}
}

func TestAServerThatRejectsAPublicDocumentIsNoExporter(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		_, target := peerServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		_, err := NewClient().Get(context.Background(), target, Request{Path: "public/public.json"})
		var failed *Error
		if !errors.As(err, &failed) || failed.Reason != BadStatus || !strings.Contains(err.Error(), "not to a login") {
			t.Errorf("%d: %v", status, err)
		}
	}
}

func TestGetVerifiesThePeersCertificate(t *testing.T) {
	_, target := peerServer(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) })
	for name, test := range map[string]struct {
		change func(*Target)
		want   Reason
	}{
		"with the CA of the spec":               {func(*Target) {}, ""},
		"not without it":                        {func(target *Target) { target.CA = "" }, TLS},
		"unless the person switched it off":     {func(target *Target) { target.CA = ""; target.InsecureSkipVerify = true }, ""},
		"and names a CA that is no certificate": {func(target *Target) { target.CA = "rubbish" }, TLS},
		"and rejects plain http":                {func(target *Target) { target.URL = "http://127.0.0.1/" }, InvalidEndpoint},
	} {
		t.Run(name, func(t *testing.T) {
			changed := target
			test.change(&changed)
			_, err := NewClient().Get(context.Background(), changed, Request{Path: "x"})
			var failed *Error
			switch {
			case test.want == "" && err != nil:
				t.Fatal(err)
			case test.want != "" && (!errors.As(err, &failed) || failed.Reason != test.want):
				t.Fatalf("got %v, want reason %s", err, test.want)
			}
		})
	}
}

func TestErrorsOfEqualFailuresAreEqual(t *testing.T) {
	server, target := peerServer(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	client := NewClient()
	fetch := func() string {
		_, err := client.Get(context.Background(), target, Request{Path: "x"})
		return err.Error()
	}
	if first, second := fetch(), fetch(); first != second {
		t.Errorf("cut connections: %q, then %q", first, second)
	}
	server.Close()
	if first, second := fetch(), fetch(); first != second {
		t.Errorf("rejected connections: %q, then %q", first, second)
	}
}

func TestUnusedConnectionPoolsAreClosed(t *testing.T) {
	_, target := peerServer(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) })
	client := NewClient()
	now := time.Now()
	client.now = func() time.Time { return now }
	get := func(target Target) {
		t.Helper()
		if _, err := client.Get(context.Background(), target, Request{Path: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	get(target)
	insecure := Target{URL: target.URL, InsecureSkipVerify: true}
	get(insecure)
	if len(client.transports) != 2 {
		t.Fatalf("%d pools, want one for each way of trusting", len(client.transports))
	}
	now = now.Add(transportIdleFor + time.Second)
	get(insecure)
	if len(client.transports) != 1 {
		t.Errorf("%d pools are left, want that in use only", len(client.transports))
	}
}

func TestALookupThatFailsIsNamedWithoutTheResolversPorts(t *testing.T) {
	for want, cause := range map[string]*net.DNSError{
		"look up gw.example.com: no such host":                    {Name: "gw.example.com", Err: "no such host", Server: "10.0.0.10:53", IsNotFound: true},
		"look up gw.example.com: the name server does not answer": {Name: "gw.example.com", Err: "read udp 10.0.0.3:38476->10.0.0.10:53: i/o timeout", IsTimeout: true},
	} {
		failed := transportError("https://gw.example.com/", &url.Error{Op: "Get", Err: &net.OpError{Op: "dial", Net: "tcp", Err: cause}})
		if failed.Reason != Unreachable || failed.Err.Error() != want {
			t.Errorf("got %s %q, want %q", failed.Reason, failed.Err, want)
		}
	}
}

func TestAGivenCAIsTrustedAlone(t *testing.T) {
	_, target := peerServer(t, http.NotFound)
	config, err := clientTLS(target, &presented{now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	only := x509.NewCertPool()
	if !only.AppendCertsFromPEM([]byte(target.CA)) || !config.RootCAs.Equal(only) {
		t.Error("something else is trusted besides")
	}
	glued := target
	glued.CA = strings.TrimSpace(target.CA) + target.CA
	if _, err := NewClient().Get(context.Background(), glued, Request{Path: "public/public.json"}); err == nil || !strings.Contains(err.Error(), "spec.metadata.ca: certificate 1: ") || !strings.Contains(err.Error(), "put a newline") {
		t.Errorf("certificates without a newline between them: %v", err)
	}
	if config, err = clientTLS(Target{URL: target.URL}, &presented{now: time.Now}); err != nil || config.RootCAs != nil {
		t.Errorf("without a CA the system's roots are not trusted: %v", err)
	}
}
