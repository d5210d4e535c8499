package server_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

// dial opens a TLS connection of HTTP/1.1 to the exporter.
func (e *exporter) dial() net.Conn {
	e.t.Helper()
	address, err := url.Parse(e.url)
	e.check(err)
	config := e.client.Transport.(*http.Transport).TLSClientConfig.Clone()
	config.NextProtos = []string{"http/1.1"}
	connection, err := tls.Dial("tcp", address.Host, config)
	e.check(err)
	e.t.Cleanup(func() { _ = connection.Close() })
	return connection
}

// TestManyIdleConnectionsKeepNoPeerOut: neither those that never ask nor those that never finish asking.
func TestManyIdleConnectionsKeepNoPeerOut(t *testing.T) {
	e := start(t)
	before := heap()
	const crowd = 500
	for index := range crowd {
		connection := e.dial()
		if index%2 == 0 {
			_, err := io.WriteString(connection, "GET /metadata/public/public.json HTTP/1.1\r\nHost: x\r\nX-Slow: ")
			e.check(err)
		}
	}
	began := time.Now()
	got := e.ask(http.MethodGet, metadata.FederationPath, bearer(e.federated.Token(t, e.own.UUID, authn.ScopePrivateFederation))...)
	if got.code != http.StatusOK || time.Since(began) > peerstest.Deadline {
		t.Errorf("a peer gets %d after %s", got.code, time.Since(began))
	}
	// Both sides of the connections are in this process.
	if each := (heap() - before) / crowd; each > 256<<10 {
		t.Errorf("%d KiB for each connection", each>>10)
	}
}

// TestARequestThatNeverEndsIsCutOff: the header must arrive within seconds.
func TestARequestThatNeverEndsIsCutOff(t *testing.T) {
	e := start(t)
	connection := e.dial()
	_, err := io.WriteString(connection, "GET /metadata/public/public.json HTTP/1.1\r\nHost: x\r\n")
	e.check(err)
	e.check(connection.SetReadDeadline(time.Now().Add(3 * peerstest.Deadline)))
	answered, err := io.ReadAll(connection)
	if err != nil || strings.Contains(string(answered), "200 OK") {
		t.Errorf("the exporter did not close the connection, or answered: %q, %v", answered, err)
	}
}

func TestAHeaderOfAMegabyteIsRejectedAndTheNextCallerServed(t *testing.T) {
	e := start(t)
	ingress := e.ingress.Client(time.Now())
	controller := e.as(&ingress)
	for _, field := range []string{"ssl-client-cert", "Authorization", "If-None-Match", "Prefer"} {
		got, err := controller.try(http.MethodGet, metadata.FederationPath, field, strings.Repeat("A", 1<<20))
		if err == nil && got.code != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s of a megabyte: %d %.80s", field, got.code, got.body)
		}
	}
	if got := controller.ask(http.MethodGet, metadata.PublicPath); got.code != http.StatusOK {
		t.Errorf("the next caller of the same controller gets %d", got.code)
	}
}

// TestTheFirstCertificateInTheHeaderIsTheCallers: a certificate is no secret, so
// that of a peer behind or before an unknown caller's own proves nothing for that caller.
func TestTheFirstCertificateInTheHeaderIsTheCallers(t *testing.T) {
	e := start(t)
	peer, stranger := e.federated.Root.Client(time.Now()), e.unrelated.Root.Client(time.Now())
	ingress := e.ingress.Client(time.Now())
	both := func(first, second tls.Certificate) string {
		return strings.ReplaceAll(url.QueryEscape(certtest.PEM(append(append([][]byte{}, first.Certificate...), second.Certificate...)...)), "+", "%20")
	}
	for name, test := range map[string]struct {
		header []string
		want   int
	}{
		"another's, then the peer's":    {[]string{"ssl-client-cert", both(stranger, peer)}, http.StatusUnauthorized},
		"two headers, the peer's first": {append(header(peer), header(stranger)...), http.StatusUnauthorized},
		"two headers, the peer's last":  {append(header(stranger), header(peer)...), http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			if got := e.as(&ingress).ask(http.MethodGet, metadata.FederationPath, test.header...); got.code != test.want {
				t.Errorf("%d %s", got.code, got.body)
			}
		})
	}
}

// TestATokenIsValidForOneClusterAndOneDocument: a stolen token, or one in the hands of its receiver, is useless elsewhere.
func TestATokenIsValidForOneClusterAndOneDocument(t *testing.T) {
	e := start(t)
	for name, token := range map[string]string{
		"for another cluster":           e.federated.Token(t, "uuid-other", authn.ScopePrivateFederation),
		"for the API proxy":             e.federated.Token(t, e.own.UUID, authn.ScopeAPI),
		"for the multicluster document": e.federated.Token(t, e.own.UUID, authn.ScopePrivateMulticluster),
		"that this cluster made itself": e.own.Token(t, e.federated.UUID, authn.ScopePrivateFederation),
		"in the name of this cluster":   e.own.Token(t, e.own.UUID, authn.ScopePrivateFederation),
	} {
		t.Run(name, func(t *testing.T) {
			got := e.ask(http.MethodGet, metadata.FederationPath, bearer(token)...)
			if got.code != http.StatusUnauthorized {
				t.Errorf("got %d %s", got.code, got.body)
			}
			checkSilence(t, got)
		})
	}
	good := e.federated.Token(t, e.own.UUID, authn.ScopePrivateFederation)
	for name, header := range map[string][]string{
		"in another scheme":   {"Authorization", "Basic " + good},
		"in the query string": nil,
	} {
		path := metadata.FederationPath
		if header == nil {
			path += fmt.Sprint("?access_token=", good)
		}
		if got := e.ask(http.MethodGet, path, header...); got.code != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, got.code)
		}
	}
}
