package server_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/peers"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

// escaped is a certificate as nginx writes it into the header.
func escaped(pair tls.Certificate) string {
	return strings.ReplaceAll(url.QueryEscape(certtest.PEM(pair.Certificate...)), "+", "%20")
}

func header(pair tls.Certificate) []string { return []string{"ssl-client-cert", escaped(pair)} }

// private are the documents with the scope and the kind that they are for.
var private = []struct{ path, scope, kind string }{
	{metadata.FederationPath, authn.ScopePrivateFederation, "IstioFederation"},
	{metadata.MulticlusterPath, authn.ScopePrivateMulticluster, "IstioMulticluster"},
}

// way is how a certificate reaches the exporter.
type way struct {
	name string
	// ask sends the request of a caller that has that certificate.
	ask func(e *exporter, path string, pair tls.Certificate) answer
	// counts is true for a way on which certificates are accepted.
	counts bool
}

func ways(e *exporter) []way {
	ingress := e.ingress.Client(time.Now(), func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "ingress"} })
	ended := e.ingress.Client(time.Now(), func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	servers := e.ingress.Client(time.Now(), func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	pretender := certtest.NewRoot(e.ingress.Certificate.Subject.CommonName, time.Now()).Client(time.Now())
	peer := e.federated.Root.Client(time.Now(), func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "workload"} })
	inHeader := func(of *exporter, more ...string) func(*exporter, string, tls.Certificate) answer {
		return func(_ *exporter, path string, pair tls.Certificate) answer {
			return of.ask(http.MethodGet, path, append(header(pair), more...)...)
		}
	}
	return []way{
		{"on the connection", func(e *exporter, path string, pair tls.Certificate) answer {
			caller := e.as(&pair)
			defer caller.client.CloseIdleConnections()
			return caller.ask(http.MethodGet, path)
		}, true},
		{"in the header of the ingress controller", inHeader(e.as(&ingress)), true},
		{"in the header beside another one", inHeader(e.as(&ingress), "ssl-client-cert", "another"), false},
		{"in the header over a connection without a certificate", inHeader(e), false},
		{"in the header over an unknown caller's connection", inHeader(e.as(&pretender)), false},
		{"in the header over the connection of a peer's workload", inHeader(e.as(&peer)), false},
		{"in the header over a connection with an ended certificate of the controller", inHeader(e.as(&ended)), false},
		{"in the header over a connection with a certificate for servers", inHeader(e.as(&servers)), false},
	}
}

// TestACertificateIsAcceptedOnlyAsProofOfAPeerOfTheRightKind goes through every
// combination of caller, document, way and defect.
func TestACertificateIsAcceptedOnlyAsProofOfAPeerOfTheRightKind(t *testing.T) {
	e := start(t)
	e.publish("web")
	now := time.Now()
	defects := map[string]certtest.Change{
		"sound":                 func(*x509.Certificate) {},
		"of another name":       func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "istiod"} },
		"of a workload":         func(c *x509.Certificate) { c.Subject = pkix.Name{}; c.URIs = []*url.URL{{Scheme: "spiffe", Host: "b"}} },
		"for servers":           func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} },
		"for no use":            func(c *x509.Certificate) { c.ExtKeyUsage = nil },
		"that has expired":      func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) },
		"that is not valid yet": func(c *x509.Certificate) { c.NotBefore = now.Add(time.Hour) },
	}
	callers := []struct {
		name string
		peerstest.Peer
		kind string
	}{
		{"a federation peer", e.federated, "IstioFederation"}, {"a multicluster peer", e.multicluster, "IstioMulticluster"},
		{"an unknown caller", e.unrelated, ""}, {"this cluster itself", e.own, ""},
	}
	allowed := 0
	for _, way := range ways(e) {
		for _, caller := range callers {
			for defect, change := range defects {
				pair := caller.Root.Client(now, change)
				for _, document := range private {
					got := way.ask(e, document.path, pair)
					want := http.StatusUnauthorized
					if way.counts && defect == "sound" && caller.kind == document.kind {
						want, allowed = http.StatusOK, allowed+1
					}
					if got.code != want {
						t.Errorf("%s with a certificate %s, %s, asks for %s: %d %s, want %d", caller.name, defect, way.name, document.path, got.code, got.body, want)
					}
					checkSilence(t, got)
				}
			}
		}
	}
	if allowed != 4 { // two ways, two kinds
		t.Errorf("%d combinations are to be let in", allowed)
	}
}

// checkSilence fails when a rejection reveals what is known here.
func checkSilence(t *testing.T, got answer) {
	t.Helper()
	if got.code == http.StatusOK {
		return
	}
	for _, known := range []string{"uuid-", "shop", "10.0.0.1", "cluster-", "IstioFederation", "Istio CA", "ingress"} {
		if strings.Contains(got.body+fmt.Sprint(got.header), known) {
			t.Errorf("the rejection reveals %q: %s %v", known, got.body, got.header)
		}
	}
}

// TestEitherProofIsEnough goes through every combination of the two proofs.
func TestEitherProofIsEnough(t *testing.T) {
	e := start(t)
	ingress := e.ingress.Client(time.Now())
	token := e.federated.Token(t, e.own.UUID, authn.ScopePrivateFederation)
	good, bad := e.federated.Root.Client(time.Now()), e.unrelated.Root.Client(time.Now())
	for tokenName, authorization := range map[string][]string{
		"no token": nil, "a good token": bearer(token), "another's token": bearer(e.unrelated.Token(t, e.own.UUID, authn.ScopePrivateFederation)), "rubbish for a token": bearer("x.y.z"),
	} {
		for certificateName, pair := range map[string]*tls.Certificate{"no certificate": nil, "a good certificate": &good, "another's certificate": &bad} {
			want := http.StatusUnauthorized
			if strings.HasPrefix(tokenName, "a good") || strings.HasPrefix(certificateName, "a good") {
				want = http.StatusOK
			}
			t.Run(tokenName+" and "+certificateName, func(t *testing.T) {
				if got := e.as(pair).ask(http.MethodGet, metadata.FederationPath, authorization...); got.code != want {
					t.Errorf("directly: %d %s, want %d", got.code, got.body, want)
				}
				passed := authorization
				if pair != nil {
					passed = append(header(*pair), authorization...)
				}
				if got := e.as(&ingress).ask(http.MethodGet, metadata.FederationPath, passed...); got.code != want {
					t.Errorf("through the ingress controller: %d %s, want %d", got.code, got.body, want)
				}
			})
		}
	}
	if got := e.as(&ingress).ask(http.MethodGet, metadata.FederationPath, append(bearer(token), "ssl-client-cert", "%zz")...); got.code != http.StatusOK {
		t.Errorf("a good token beside rubbish in the header: %d %s", got.code, got.body)
	}
}

func TestARejectionNamesWhatIsMissing(t *testing.T) {
	e := start(t)
	ingress := e.ingress.Client(time.Now())
	ended := e.federated.Root.Client(time.Now(), func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) })
	token := e.federated.Token(t, e.own.UUID, authn.ScopePrivateFederation)
	for name, test := range map[string]struct {
		caller    *tls.Certificate
		header    []string
		says      string
		challenge string
	}{
		"nothing":                        {nil, nil, "no bearer token and no client certificate", `Bearer realm="istio-metadata"`},
		"nothing through the controller": {&ingress, nil, "no bearer token and no client certificate", `Bearer realm="istio-metadata"`},
		"an ended certificate":           {&ended, nil, "no bearer token; the client certificate has expired", `Bearer realm="istio-metadata"`},
		"rubbish in the header":          {&ingress, []string{"ssl-client-cert", "%zz"}, "the client certificate cannot be read", `Bearer realm="istio-metadata"`},
		"a bad token":                    {nil, bearer("x"), "not a signed JWT", `error="invalid_token"`},
		"two Authorization headers":      {nil, append(bearer(token), bearer(token)...), "more than one Authorization header: send one", `error="invalid_token"`},
		"both bad":                       {&ended, bearer("x"), "valid claims; the client certificate has expired", `error="invalid_token"`},
	} {
		t.Run(name, func(t *testing.T) {
			got := e.as(test.caller).ask(http.MethodGet, metadata.FederationPath, test.header...)
			if got.code != http.StatusUnauthorized || !strings.Contains(got.body, test.says) {
				t.Errorf("got %d %s, want %q", got.code, got.body, test.says)
			}
			if challenge := got.header.Get("WWW-Authenticate"); !strings.Contains(challenge, test.challenge) || strings.Contains(test.challenge, "error") != strings.Contains(challenge, "error") {
				t.Errorf("challenge %s", challenge)
			}
			checkSilence(t, got)
		})
	}
}

func TestWithoutAnIngressAuthorityTheHeaderIsIgnored(t *testing.T) {
	e := start(t, func(e *exporter) { e.noIngress = true })
	ingress := e.ingress.Client(time.Now())
	if got := e.as(&ingress).ask(http.MethodGet, metadata.FederationPath, header(e.federated.Root.Client(time.Now()))...); got.code != http.StatusUnauthorized {
		t.Errorf("got %+v", got)
	}
}

func TestARootThatTwoPeersShareGivesTheRightsOfBoth(t *testing.T) {
	e := start(t)
	multicluster := e.multicluster
	multicluster.Root = e.federated.Root
	e.setPeers(map[string]peers.Entry{e.federated.UUID: e.federated.Entry("IstioFederation"), multicluster.UUID: multicluster.Entry("IstioMulticluster")})
	pair := multicluster.Root.Client(time.Now())
	for _, document := range private {
		if got := e.as(&pair).ask(http.MethodGet, document.path); got.code != http.StatusOK {
			t.Errorf("%s: %d %s", document.path, got.code, got.body)
		}
	}
}

func TestAnIntermediateAuthoritysCertificateIsAcceptedWithItsChain(t *testing.T) {
	e := start(t)
	pair := e.federated.Root.Intermediate("middle", time.Now()).Client(time.Now())
	ingress := e.ingress.Client(time.Now())
	for name, got := range map[string]answer{
		"on the connection": e.as(&pair).ask(http.MethodGet, metadata.FederationPath),
		"in the header":     e.as(&ingress).ask(http.MethodGet, metadata.FederationPath, header(pair)...),
	} {
		if got.code != http.StatusOK {
			t.Errorf("%s: %d %s", name, got.code, got.body)
		}
	}
}

func TestAPeerWithoutUsableRootsProvesItselfByTokenOnly(t *testing.T) {
	e := start(t)
	entry := e.federated.Entry("IstioFederation")
	entry.RootCA = "rubbish"
	if _, err := e.peers.SetAccepted(peerstest.JSON(t, map[string]peers.Entry{e.federated.UUID: entry})); err == nil || !strings.Contains(err.Error(), "rootCA") {
		t.Errorf("the problem is not named: %v", err)
	}
	pair := e.federated.Root.Client(time.Now())
	if got := e.as(&pair).ask(http.MethodGet, metadata.FederationPath); got.code != http.StatusUnauthorized {
		t.Errorf("by certificate: %+v", got)
	}
	if got := e.ask(http.MethodGet, metadata.FederationPath, bearer(e.federated.Token(t, e.own.UUID, authn.ScopePrivateFederation))...); got.code != http.StatusOK {
		t.Errorf("by token: %+v", got)
	}
}

func TestACertificateIsAcceptedOnAResumedConnection(t *testing.T) {
	e := start(t)
	pair := e.federated.Root.Client(time.Now())
	caller := e.as(&pair)
	transport := caller.client.Transport.(*http.Transport)
	transport.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for connection := range 2 {
		request, err := http.NewRequest(http.MethodGet, e.url+metadata.FederationPath, nil)
		e.check(err)
		response, err := caller.client.Do(request)
		e.check(err)
		e.check(response.Body.Close())
		if response.StatusCode != http.StatusOK || response.TLS.DidResume != (connection == 1) {
			t.Errorf("connection %d: %s, resumed %v", connection, response.Status, response.TLS.DidResume)
		}
		transport.CloseIdleConnections()
	}
	e.setPeers(nil)
	if got := caller.ask(http.MethodGet, metadata.FederationPath); got.code != http.StatusUnauthorized {
		t.Errorf("after the peer was removed: %+v", got)
	}
}

func TestAnAbsurdChainIsNotKept(t *testing.T) {
	e := start(t)
	pair := e.federated.Root.Client(time.Now())
	for range 10 {
		pair.Certificate = append(pair.Certificate, e.federated.Root.Certificate.Raw)
	}
	if got, err := e.as(&pair).try(http.MethodGet, metadata.PublicPath); err == nil {
		t.Errorf("answered: %+v", got)
	}
}

func TestAHeldCertificateEndsWithItsPeerAndNoOther(t *testing.T) {
	e := start(t)
	pair := e.federated.Root.Client(time.Now())
	caller := e.as(&pair)
	wait := []string{"If-None-Match", e.documents.Federation.Current().ETag, "Prefer", "wait=50"}
	held := caller.hold(1, metadata.FederationPath, wait...)

	// Another peer is accepted, and this one has another key for its tokens: the root still proves it.
	anew := peerstest.NewPeer(t, e.federated.Name)
	anew.Root = e.federated.Root
	e.setPeers(map[string]peers.Entry{anew.UUID: anew.Entry("IstioFederation"), e.unrelated.UUID: e.unrelated.Entry("IstioFederation")})
	e.publish("web")
	if got := caller.receive(held); got.code != http.StatusOK || !strings.Contains(got.body, "web.shop") {
		t.Errorf("after others changed: %+v", got)
	}

	wait[1] = e.documents.Federation.Current().ETag
	held = caller.hold(1, metadata.FederationPath, wait...)
	e.setPeers(map[string]peers.Entry{e.federated.UUID: e.federated.Entry("IstioMulticluster")})
	if got := caller.receive(held); got.code != http.StatusUnauthorized {
		t.Errorf("after it became another kind: %+v", got)
	}
}
