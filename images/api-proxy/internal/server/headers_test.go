package server_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// hostileHeaders would let a caller be someone else at the API server, or make
// a proxy in between read the request differently.
var hostileHeaders = map[string]string{
	"Impersonate-User": "system:admin", "Impersonate-Group": "system:masters", "Impersonate-Uid": "0", "Impersonate-Extra-Scopes": "all",
	"X-Remote-User": "system:admin", "X-Remote-Group": "system:masters", "X-Remote-Uid": "0", "X-Remote-Extra-Scopes": "all",
	"Cookie": "session=1", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "kubernetes", "X-Forwarded-Proto": "https", "Forwarded": "for=127.0.0.1",
	"X-Real-Ip": "127.0.0.1", "X-Original-Url": "/api/v1/secrets", "X-Rewrite-Url": "/api/v1/secrets", "X-Http-Method-Override": "DELETE",
	"Proxy-Authorization": "Bearer x", "Proxy-Connection": "keep-alive", "Te": "trailers", "Trailer": "X-Remote-User",
	"Ssl-Client-Cert": "x", "X-Ssl-Client-Cert": "x", "Audit-Id": "mine", "Kubectl-Command": "get", "Origin": "https://evil.example",
	"Sec-Websocket-Protocol": "base64url.bearer.authorization.k8s.io.eA", "X-Stream-Protocol-Version": "v4.channel.k8s.io", "Range": "bytes=0-1",
	"If-None-Match": "*", "User-Agent": "kube-controller-manager", "Host": "kubernetes.default", "X-Anything": "else", "Accept-Language": "en",
}

func TestOnlyFourHeadersOfACallerArrive(t *testing.T) {
	p := start(t, setup{})
	for name, http2 := range map[string]bool{"HTTP/2": true, "HTTP/1.1": false} {
		t.Run(name, func(t *testing.T) {
			r := p.request(t, http.MethodPost, "/apis/authentication.k8s.io/v1/tokenreviews", `{"kind":"TokenReview"}`)
			for header, value := range hostileHeaders {
				r.Header.Set(header, value)
			}
			r.Host = "kubernetes.default.svc"
			if http2 { // in HTTP/1.1 they need chunks, which are rejected
				r.Trailer = http.Header{"Impersonate-User": {"system:admin"}}
			}
			r.Header.Set("Accept", "application/json;q=0.5,application/vnd.kubernetes.protobuf")
			r.Header.Set("Accept-Encoding", "gzip;q=0.3")
			if response, body := do(t, p.client(t, http2), r); response.StatusCode != http.StatusOK {
				t.Fatalf("%d %s", response.StatusCode, body)
			}
			got := p.backend.take()
			if len(got) != 1 {
				t.Fatalf("arrived %v", got)
			}
			want := map[string]string{
				"Accept": "application/json;q=0.5,application/vnd.kubernetes.protobuf", "Accept-Encoding": "gzip;q=0.3",
				"Content-Type": "application/json", "Content-Length": "22",
				"Authorization": "Bearer " + ownToken, "User-Agent": "istio-api-proxy (peer b)",
			}
			for header, values := range got[0].header {
				if !slices.Equal(values, []string{want[header]}) {
					t.Errorf("%s: %v arrived, want %q", header, values, want[header])
				}
				delete(want, header)
			}
			if len(want) > 0 {
				t.Errorf("%v did not arrive", want)
			}
			if got[0].host != strings.TrimPrefix(p.backend.URL, "https://") || got[0].proto != 2 || got[0].body != `{"kind":"TokenReview"}` {
				t.Errorf("arrived %+v", got[0])
			}
		})
	}
}

func TestOnlyHarmlessHeadersOfAnAnswerAreForwarded(t *testing.T) {
	p := start(t, setup{answer: func(w http.ResponseWriter, _ *http.Request) {
		for name, value := range map[string]string{
			"Audit-Id": "secret", "Set-Cookie": "a=b", "Server": "kube", "X-Kubernetes-Pf-Flowschema-Uid": "x", "Location": "https://10.0.0.1",
			"Www-Authenticate": "Basic", "Content-Type": "application/json", "Retry-After": "7", "Cache-Control": "no-cache, private",
			"Warning": `299 - "old"`, "Trailer": "X-Late", "Strict-Transport-Security": "max-age=1",
		} {
			w.Header().Set(name, value)
		}
		_, _ = io.WriteString(w, "{}")
		w.Header().Set("X-Late", "1")
	}})
	response, body := do(t, p.client(t, true), p.request(t, http.MethodGet, "/api/v1/pods", ""))
	allowed := []string{"Content-Type", "Content-Length", "Retry-After", "Cache-Control", "X-Content-Type-Options", "Date"}
	for name := range response.Header {
		if !slices.Contains(allowed, name) {
			t.Errorf("%s: %s passed", name, response.Header.Get(name))
		}
	}
	if len(response.Trailer) > 0 || body != "{}" || response.Header.Get("Retry-After") != "7" || response.Header.Get("Cache-Control") != "no-cache, private" {
		t.Errorf("answer %v %s", response.Header, body)
	}
}

func TestAnswersAreForwardedUnchanged(t *testing.T) {
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	_, _ = writer.Write(bytes.Repeat([]byte("pod "), 1<<18))
	_ = writer.Close()
	protobuf := append([]byte("k8s\x00\x0a\x0b"), bytes.Repeat([]byte{0, 1, 2, 255}, 1<<17)...)

	p := start(t, setup{answer: func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Accept") {
		case "application/vnd.kubernetes.protobuf":
			w.Header().Set("Content-Type", "application/vnd.kubernetes.protobuf")
			_, _ = w.Write(protobuf)
		default:
			if r.Header.Get("Accept-Encoding") != "gzip" {
				http.Error(w, "asked for "+r.Header.Get("Accept-Encoding"), http.StatusTeapot)
				return
			}
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(packed.Bytes())
		}
	}})
	for name, http2 := range map[string]bool{"HTTP/2": true, "HTTP/1.1": false} {
		t.Run(name, func(t *testing.T) {
			client := p.client(t, http2)
			r := p.request(t, http.MethodGet, "/api/v1/pods", "")
			r.Header.Set("Accept", "application/vnd.kubernetes.protobuf")
			response, body := do(t, client, r)
			if body != string(protobuf) || response.Header.Get("Content-Type") != "application/vnd.kubernetes.protobuf" {
				t.Errorf("protobuf came as %s, %d bytes", response.Header.Get("Content-Type"), len(body))
			}
			r = p.request(t, http.MethodGet, "/api/v1/pods", "")
			r.Header.Set("Accept-Encoding", "gzip")
			response, body = do(t, client, r)
			if body != packed.String() || response.Header.Get("Content-Encoding") != "gzip" {
				t.Errorf("gzip came as %s, %d bytes, sent %d", response.Header.Get("Content-Encoding"), len(body), packed.Len())
			}
		})
	}
}

func TestAnswersThatAreNotTheAPIsAreNotForwarded(t *testing.T) {
	for name, test := range map[string]struct {
		code int
		want int
	}{
		"a redirect":                {http.StatusFound, http.StatusBadGateway},
		"not modified":              {http.StatusNotModified, http.StatusBadGateway},
		"a rejection by RBAC":       {http.StatusForbidden, http.StatusForbidden},
		"not there":                 {http.StatusNotFound, http.StatusNotFound},
		"too old a version":         {http.StatusGone, http.StatusGone},
		"busy":                      {http.StatusTooManyRequests, http.StatusTooManyRequests},
		"its own fault":             {http.StatusInternalServerError, http.StatusInternalServerError},
		"rejecting the proxy's own": {http.StatusUnauthorized, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, setup{answer: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "https://10.0.0.1/")
				w.Header().Set("Www-Authenticate", "Basic")
				w.WriteHeader(test.code)
			}})
			response, _ := do(t, p.client(t, true), p.request(t, http.MethodGet, "/api/v1/pods", ""))
			if response.StatusCode != test.want || response.Header.Get("Location") != "" || response.Header.Get("Www-Authenticate") != "" {
				t.Errorf("%d became %d %v, want %d", test.code, response.StatusCode, response.Header, test.want)
			}
		})
	}
}
