package peer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/test/support/certtest"
)

// askingServer is a peer whose TLS listener asks for a client certificate in that way.
func askingServer(t *testing.T, ask func(*tls.Config), handler http.HandlerFunc) Target {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	ask(server.TLS)
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return Target{URL: server.URL + "/metadata/", CA: string(ca)}
}

// whoAsks answers with the serial number of the caller's certificate.
func whoAsks(w http.ResponseWriter, r *http.Request) {
	serial := "none"
	if len(r.TLS.PeerCertificates) > 0 {
		serial = r.TLS.PeerCertificates[0].SerialNumber.String()
	}
	fmt.Fprintf(w, `{"certificate": %q}`, serial)
}

func seen(t *testing.T, client *Client, target Target) string {
	t.Helper()
	response, err := client.Get(context.Background(), target, Request{Path: "x", Token: "t"})
	if err != nil {
		t.Fatal(err)
	}
	return string(response.Body)
}

func shows(pair *tls.Certificate) string {
	if pair == nil {
		return `{"certificate": "none"}`
	}
	return fmt.Sprintf(`{"certificate": %q}`, pair.Leaf.SerialNumber.String())
}

func TestAPeerThatAsksGetsTheLastPresentedCertificate(t *testing.T) {
	root := certtest.NewRoot("Istio CA", time.Now())
	first, second := root.Client(time.Now()), root.Client(time.Now())
	ended := root.Client(time.Now(), func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) })
	foreign := x509.NewCertPool()
	foreign.AddCert(certtest.NewRoot("another authority", time.Now()).Certificate)

	target := askingServer(t, func(config *tls.Config) { config.ClientCAs = foreign }, whoAsks)
	client := NewClient()
	for _, step := range []struct {
		name           string
		present, shown *tls.Certificate
	}{
		{"none before one is presented", nil, nil},
		{"one, though the peer names another authority only", &first, &first},
		{"the same again", &first, &first},
		{"its successor, on a new connection", &second, &second},
		{"none that has ended", &ended, nil},
		{"none any more", nil, nil},
	} {
		client.Present(step.present)
		if got, want := seen(t, client, target), shows(step.shown); got != want {
			t.Errorf("%s: %s, want %s", step.name, got, want)
		}
	}
}

func TestARejectedCertificateDoesNotBreakWhatTheTokenAllows(t *testing.T) {
	pair := certtest.NewRoot("Istio CA", time.Now()).Client(time.Now())
	like400 := func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) > 0 {
			http.Error(w, "The SSL certificate error", http.StatusBadRequest)
			return
		}
		whoAsks(w, r)
	}
	hangUp := func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) == 0 {
			whoAsks(w, r)
			return
		}
		connection, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_ = connection.Close()
	}
	alert := func(version uint16) func(*tls.Config) {
		return func(config *tls.Config) {
			config.ClientAuth, config.MaxVersion = tls.VerifyClientCertIfGiven, version
			config.ClientCAs = x509.NewCertPool()
		}
	}
	for name, target := range map[string]Target{
		"with nginx's answer 400":  askingServer(t, func(*tls.Config) {}, like400),
		"with an alert of TLS 1.2": askingServer(t, alert(tls.VersionTLS12), whoAsks),
		"with an alert of TLS 1.3": askingServer(t, alert(tls.VersionTLS13), whoAsks),
		"by hanging up":            askingServer(t, func(config *tls.Config) { config.NextProtos = []string{"http/1.1"} }, hangUp),
		"by not asking for it":     askingServer(t, func(config *tls.Config) { config.ClientAuth = tls.NoClientCert }, whoAsks),
	} {
		t.Run(name, func(t *testing.T) {
			client := NewClient()
			client.Present(&pair)
			if got, want := seen(t, client, target), shows(nil); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

func TestAPeerThatRejectedTheCertificateGetsItAgainLater(t *testing.T) {
	pair := certtest.NewRoot("Istio CA", time.Now()).Client(time.Now())
	var rejects atomic.Bool
	var requests atomic.Int32
	rejects.Store(true)
	target := askingServer(t, func(*tls.Config) {}, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if rejects.Load() && len(r.TLS.PeerCertificates) > 0 {
			http.Error(w, "The SSL certificate error", http.StatusBadRequest)
			return
		}
		whoAsks(w, r)
	})
	client, now := NewClient(), time.Now()
	client.now = func() time.Time { return now }
	client.Present(&pair)

	for _, step := range []struct {
		name     string
		requests int32
		shown    *tls.Certificate
		before   func()
	}{
		{"it asks twice the first time", 2, nil, func() {}},
		{"once from then on", 1, nil, func() { rejects.Store(false) }},
		{"and tries the certificate again later", 1, &pair, func() { now = now.Add(unwantedFor) }},
	} {
		step.before()
		requests.Store(0)
		if got, want := seen(t, client, target), shows(step.shown); got != want || requests.Load() != step.requests {
			t.Errorf("%s: %s after %d requests, want %s after %d", step.name, got, requests.Load(), want, step.requests)
		}
	}
}

func TestA400ForAnotherReasonIsReportedAsSuch(t *testing.T) {
	pair := certtest.NewRoot("Istio CA", time.Now()).Client(time.Now())
	target := askingServer(t, func(*tls.Config) {}, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no", http.StatusBadRequest)
	})
	client := NewClient()
	client.Present(&pair)
	_, err := client.Get(context.Background(), target, Request{Path: "x"})
	var failed *Error
	if !errors.As(err, &failed) || failed.StatusCode != http.StatusBadRequest || client.unwanted.has(target.URL, time.Now()) {
		t.Errorf("got %v; unwanted: %v", err, client.unwanted)
	}
}
