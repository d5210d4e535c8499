package ingress

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	slicesPath   = "/apis/discovery.k8s.io/v1/endpointslices"
	testDeadline = 20 * time.Second
)

// viewOf opens a view of an API; client trusts it.
func viewOf(t *testing.T, api http.HandlerFunc) (view *View, client *http.Client) {
	t.Helper()
	server := httptest.NewTLSServer(api)
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.crt")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	translator := testTranslator()
	view, err := ListenView(ViewOptions{
		Address: netip.MustParseAddrPort("127.0.0.1:0"), APIServer: server.URL, CAFile: ca,
		Certificate: server.TLS.Certificates[0], Network: translator.network, Hosts: translator.hosts,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- view.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-served:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(testDeadline):
			t.Error("the view does not end")
		}
	})
	return view, server.Client()
}

func ask(t *testing.T, client *http.Client, method, url, body string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testDeadline)
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "application/vnd.kubernetes.protobuf, application/json")
	request.Header.Set("Authorization", "Bearer of-the-caller")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

func TestTheViewOfTheAPI(t *testing.T) {
	const slice = `{"kind":"EndpointSlice","metadata":{"generation":9007199254740993},"endpoints":[{"addresses":["10.100.0.10"]}]}`
	for name, test := range map[string]struct {
		method, path, body string
		status             int
		answer             string
		// accepted is the media type that the API is asked for.
		accepted, want string
	}{
		"translates what it shows, and keeps numbers exactly": {
			"GET", slicesPath, "", 200, slice, "application/json",
			`{"endpoints":[{"addresses":["127.7.8.10"]}],"kind":"EndpointSlice","metadata":{"generation":9007199254740993}}`,
		},
		"shows everything else as it is": {
			"GET", "/api/v1/secrets", "", 200, "k8s\x00protobuf", "application/vnd.kubernetes.protobuf, application/json", "k8s\x00protobuf",
		},
		"passes a refusal on": {
			"GET", slicesPath, "", 403, `{"kind":"Status","code":403}`, "application/json", `{"kind":"Status","code":403}`,
		},
		"passes what is written on": {
			"PUT", "/apis/networking.k8s.io/v1/namespaces/d8-istio/ingresses/web/status", slice, 200, slice,
			"application/vnd.kubernetes.protobuf, application/json", slice,
		},
	} {
		t.Run(name, func(t *testing.T) {
			view, client := viewOf(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if r.Method != test.method || r.URL.Path != test.path || string(body) != test.body {
					t.Errorf("the API gets %s %s with %q", r.Method, r.URL.Path, body)
				}
				if got := r.Header.Get("Accept"); got != test.accepted {
					t.Errorf("the API is asked for %s, want %s", got, test.accepted)
				}
				if got := r.Header.Get("Authorization"); got != "Bearer of-the-caller" {
					t.Errorf("the API sees the rights of %q", got)
				}
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.answer)
			})
			response := ask(t, client, test.method, view.URL()+test.path, test.body)
			got, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != test.status || string(got) != test.want {
				t.Errorf("it answers %d %s (%v), want %d %s", response.StatusCode, got, err, test.status, test.want)
			}
		})
	}
}

func TestTheViewTranslatesEveryEventOfAWatchAsItComes(t *testing.T) {
	next, ended := make(chan string), make(chan struct{})
	view, client := viewOf(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		w.WriteHeader(http.StatusOK)
		for {
			_ = http.NewResponseController(w).Flush()
			select {
			case event := <-next:
				_, _ = fmt.Fprintln(w, event)
			case <-r.Context().Done():
				return
			}
		}
	})
	ctx, stop := context.WithTimeout(context.Background(), testDeadline)
	defer stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, view.URL()+slicesPath+"?watch=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	events := json.NewDecoder(response.Body)
	for _, event := range []struct{ sent, kind, want string }{
		{`{"type":"ADDED","object":{"kind":"EndpointSlice","endpoints":[{"addresses":["10.100.0.10"]}]}}`, "ADDED", "127.7.8.10"},
		{`{"type":"MODIFIED","object":{"kind":"EndpointSlice","endpoints":[{"addresses":["10.100.0.11"]}]}}`, "MODIFIED", "127.7.8.11"},
		{`{"type":"BOOKMARK","object":{"kind":"EndpointSlice","metadata":{"resourceVersion":"7"},"endpoints":null}}`, "BOOKMARK", ""},
	} {
		next <- event.sent
		var got struct {
			Type   string
			Object struct {
				Endpoints []struct{ Addresses []string }
			}
		}
		if err := events.Decode(&got); err != nil {
			t.Fatal(err)
		}
		var addresses []string
		for _, endpoint := range got.Object.Endpoints {
			addresses = append(addresses, endpoint.Addresses...)
		}
		if got.Type != event.kind || strings.Join(addresses, ",") != event.want {
			t.Errorf("event %s with addresses %q, want %s with %q", got.Type, addresses, event.kind, event.want)
		}
	}
	stop()
	select {
	case <-ended:
	case <-time.After(testDeadline):
		t.Error("the watch goes on although nobody reads it")
	}
}

func TestTheViewIsNotServedWithoutTLS(t *testing.T) {
	view, _ := viewOf(t, func(http.ResponseWriter, *http.Request) { t.Error("the API was asked") })
	stranger := &http.Client{Timeout: testDeadline, Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}}
	for _, url := range []string{view.URL(), strings.Replace(view.URL(), "https", "http", 1)} {
		response, err := stranger.Get(url)
		if err != nil {
			continue
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusBadRequest {
			t.Errorf("GET %s: %s", url, response.Status)
		}
	}
}
