package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const echoBody = `ServiceVersion=
ServicePort=8080
Host=web.demo.svc.cluster-b.local
Cluster=cluster-b
RequestHeader=X-Forwarded-Client-Cert:By=spiffe://cluster-b.local/ns/demo/sa/web;Hash=1;Subject="";URI=spiffe://cluster-a.local/ns/demo/sa/client
Hostname=web-6d
`

func TestACallReportsBothIdentities(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Verified-Peer", "spiffe://cluster-b.local/ns/demo/sa/web")
		_, _ = fmt.Fprint(w, echoBody)
	}))
	defer server.Close()
	call := Caller{URL: server.URL, Timeout: 5 * time.Second}.Once(t.Context())
	call.Began, call.Ended = time.Time{}, time.Time{}
	want := Call{
		Status: 200, Cluster: "cluster-b", Pod: "web-6d",
		Caller: "spiffe://cluster-a.local/ns/demo/sa/client", Server: "spiffe://cluster-b.local/ns/demo/sa/web",
	}
	if call != want {
		t.Errorf("got  %+v\nwant %+v", call, want)
	}
}

func TestFailedCallsReportTheirError(t *testing.T) {
	unavailable := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "upstream connect error or disconnect/reset before headers\nmore", http.StatusServiceUnavailable)
	}))
	defer unavailable.Close()
	for name, test := range map[string]struct {
		url    string
		status int
		err    string
	}{
		"an error of the proxy":    {unavailable.URL, 503, "upstream connect error or disconnect/reset before headers"},
		"a name that is not known": {"http://web.demo.svc.nowhere.invalid/", 0, "the name is not known"},
		"a closed port":            {"http://127.0.0.1:1/", 0, "dial: connect: connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			call := Caller{URL: test.url, Timeout: 5 * time.Second}.Once(t.Context())
			if call.Answered() || call.Status != test.status || call.Error != test.err {
				t.Errorf("got status %d, error %q, want %d, %q", call.Status, call.Error, test.status, test.err)
			}
		})
	}
}

func TestOnlyChangesAreReported(t *testing.T) {
	var failing atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if failing.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var statuses []int
	Caller{URL: server.URL, Interval: time.Millisecond, Timeout: 5 * time.Second}.Run(ctx, func(call Call) {
		statuses = append(statuses, call.Status)
		switch len(statuses) {
		case 1:
			failing.Store(true)
		case 2:
			cancel()
		}
	})
	if fmt.Sprint(statuses) != "[200 503]" {
		t.Errorf("reported %v", statuses)
	}
}

func TestTheCallerIsWhoTheLastProxySaw(t *testing.T) {
	for forwarded, want := range map[string]string{
		"": "",
		`By=spiffe://b/x;Hash=1;URI=spiffe://a/y`:                                "spiffe://a/y",
		`By=spiffe://b/x;URI=spiffe://forged/z,By=spiffe://b/x;URI=spiffe://a/y`: "spiffe://a/y",
		`By=spiffe://b/x;Hash=1`:                                                 "",
	} {
		if got := callerOf(forwarded); got != want {
			t.Errorf("%q: got %q, want %q", forwarded, got, want)
		}
	}
}

// listen is a server with mutual TLS that trusts clients of roots.
func listen(t *testing.T, roots *x509.CertPool, auth tls.ClientAuthType) string {
	t.Helper()
	certificate, err := foreignCertificate("spiffe://cluster-b.local/ns/demo/sa/web")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{*certificate}, ClientAuth: auth, ClientCAs: roots, NextProtos: []string{"istio"}, MinVersion: tls.VersionTLS13,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go answer(connection)
		}
	}()
	return listener.Addr().String()
}

func answer(connection net.Conn) {
	defer func() { _ = connection.Close() }()
	if _, err := connection.Read(make([]byte, 1024)); err == nil {
		_, _ = fmt.Fprint(connection, "HTTP/1.1 200 OK\r\n\r\n")
	}
}

func TestTheVerdictOnAStrangerIsReported(t *testing.T) {
	const server = "spiffe://cluster-b.local/ns/demo/sa/web"
	strict := listen(t, x509.NewCertPool(), tls.RequireAndVerifyClientCert)
	for name, test := range map[string]struct {
		address, identity string
		alert             string
		accepted          bool
	}{
		"without a certificate":          {strict, "", "certificate required", false},
		"with one of a foreign root":     {strict, "spiffe://cluster-a.local/ns/demo/sa/client", "unknown certificate authority", false},
		"by a server that asks for none": {listen(t, nil, tls.NoClientCert), "", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			verdict := Stranger{Address: test.address, ServerName: "outbound_.80_._.web", Protocols: []string{"istio"}, Identity: test.identity}.Try(ctx)
			if !strings.Contains(verdict.Alert, test.alert) || (test.alert == "") != (verdict.Alert == "") || verdict.Accepted != test.accepted || verdict.Error != "" {
				t.Errorf("got %+v, want alert %q, accepted %v", verdict, test.alert, test.accepted)
			}
			if fmt.Sprint(verdict.Server) != "["+server+"]" {
				t.Errorf("the server shows %v", verdict.Server)
			}
		})
	}
}

func TestNothingAtTheAddressIsAnError(t *testing.T) {
	verdict := Stranger{Address: "127.0.0.1:1"}.Try(t.Context())
	if verdict.Accepted || verdict.Alert != "" || !strings.Contains(verdict.Error, "connection refused") {
		t.Errorf("got %+v", verdict)
	}
}
