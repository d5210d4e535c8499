package callers_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/callers"
	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/certtest"
	"github.com/deckhouse-mesh/istio/lib/peers"
	"github.com/deckhouse-mesh/istio/lib/peers/peerstest"
	"github.com/deckhouse-mesh/istio/lib/tlsfiles"
)

const here = "uuid-here"

func registry(t *testing.T, entries map[string]any) *callers.Registry {
	t.Helper()
	registry := callers.NewRegistry()
	registry.SetResources(peerstest.Existing(entries))
	if _, err := registry.Set(peerstest.JSON(t, entries)); err != nil {
		t.Fatal(err)
	}
	return registry
}

// ask makes a request with a client certificate's chain, as the TLS connection would, and headers.
func ask(t *testing.T, certificate *tls.Certificate, authorization ...string) *http.Request {
	t.Helper()
	r := &http.Request{Header: http.Header{"Authorization": authorization}, TLS: &tls.ConnectionState{}}
	if certificate != nil {
		for _, der := range certificate.Certificate {
			parsed, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			r.TLS.PeerCertificates = append(r.TLS.PeerCertificates, parsed)
		}
	}
	return r
}

func TestWhoIsIdentified(t *testing.T) {
	b, c := peerstest.NewPeer(t, "b"), peerstest.NewPeer(t, "c")
	federated, stranger := peerstest.NewPeer(t, "f"), peerstest.NewPeer(t, "s")
	tokenOnly := peerstest.NewPeer(t, "t")
	twin, sibling := peerstest.NewPeer(t, "twin"), peerstest.NewPeer(t, "sibling")
	sibling.Root = twin.Root
	rootless := tokenOnly.Entry(v1alpha1.IstioMulticlusterKind)
	rootless["rootCA"] = ""
	entries := map[string]peers.Entry{
		b.UUID: b.Entry(v1alpha1.IstioMulticlusterKind), c.UUID: c.Entry(v1alpha1.IstioMulticlusterKind),
		federated.UUID: federated.Entry(v1alpha1.IstioFederationKind), tokenOnly.UUID: rootless,
		twin.UUID: twin.Entry(v1alpha1.IstioMulticlusterKind), sibling.UUID: sibling.Entry(v1alpha1.IstioFederationKind),
	}
	registry := callers.NewRegistry()
	registry.SetResources(peerstest.Existing(entries))
	if _, err := registry.Set(peerstest.JSON(t, entries)); err == nil || !strings.Contains(err.Error(), `"t" (cluster uuid-t) needs a token`) {
		t.Fatalf("Set() = %v", err)
	}
	identifier := callers.Identifier{Registry: registry, ClusterUUID: here, Verified: authn.NewVerifiedTokens(nil)}

	token := func(of peerstest.Peer, change func(*authn.Token)) string {
		return "Bearer " + of.Token(t, here, authn.ScopeAPI, change)
	}
	client := func(of peerstest.Peer, change func(*x509.Certificate)) *tls.Certificate {
		certificate := of.Root.Client(t, change)
		return &certificate
	}
	intermediate := b.Root.Intermediate(t, "istiod").Client(t, nil)
	lonely := b.Root.Intermediate(t, "istiod").Client(t, nil)
	lonely.Certificate = lonely.Certificate[:1]

	for name, test := range map[string]struct {
		request *http.Request
		want    string
		err     error
	}{
		"a token":                      {ask(t, nil, token(b, nil)), "uuid-b", nil},
		"a token, in small letters":    {ask(t, nil, strings.Replace(token(b, nil), "Bearer", "bearer", 1)), "uuid-b", nil},
		"a certificate":                {ask(t, client(b, nil)), "uuid-b", nil},
		"an intermediate's":            {ask(t, &intermediate), "uuid-b", nil},
		"both":                         {ask(t, client(b, nil), token(b, nil)), "uuid-b", nil},
		"a token, the certificate old": {ask(t, client(b, expired), token(b, nil)), "uuid-b", nil},
		"a certificate, the token old": {ask(t, client(b, nil), token(b, oldToken)), "uuid-b", nil},
		"a token, the certificate of the ingress controller": {ask(t, client(stranger, func(c *x509.Certificate) { c.Subject.CommonName = "ingress" }), token(b, nil)), "uuid-b", nil},
		"a token of a cluster without a root":                {ask(t, nil, token(tokenOnly, nil)), "uuid-t", nil},
		"a token where the root is shared":                   {ask(t, client(twin, nil), token(twin, nil)), "uuid-twin", nil},

		"nothing":    {ask(t, nil), "", callers.ErrNothing},
		"a password": {ask(t, nil, "Basic YWRtaW46YWRtaW4="), "", callers.ErrNothing},
		"two tokens": {ask(t, nil, token(b, nil), token(c, nil)), "", authn.ErrSeveralHeaders},
		"no JWT":     {ask(t, nil, "Bearer abc"), "", authn.ErrMalformed},
		"a token and a certificate that disagree": {ask(t, client(c, nil), token(b, nil)), "", callers.ErrDisagree},
		"a federation's token":                    {ask(t, nil, token(federated, nil)), "", authn.ErrUnknownCaller},
		"a federation's certificate":              {ask(t, client(federated, nil)), "", callers.ErrCertificate},
		"a stranger's token":                      {ask(t, nil, token(stranger, nil)), "", authn.ErrUnknownCaller},
		"a stranger's certificate":                {ask(t, client(stranger, nil)), "", callers.ErrCertificate},
		"a stranger who says to be b":             {ask(t, nil, token(stranger, func(t *authn.Token) { t.Subject = "uuid-b" })), "", authn.ErrUnknownCaller},
		"a token for another cluster":             {ask(t, nil, token(b, func(t *authn.Token) { t.Audience = "uuid-c" })), "", authn.ErrAudience},
		"a token for metadata":                    {ask(t, nil, token(b, func(t *authn.Token) { t.Scope = authn.ScopePrivateMulticluster })), "", authn.ErrScope},
		"an old token":                            {ask(t, nil, token(b, oldToken)), "", authn.ErrExpired},
		"a certificate of a workload":             {ask(t, client(b, func(c *x509.Certificate) { c.Subject = pkix.Name{} })), "", callers.ErrCertificate},
		"CN as an alternative name only":          {ask(t, client(b, func(c *x509.Certificate) { c.Subject = pkix.Name{}; c.DNSNames = []string{"deckhouse"} })), "", callers.ErrCertificate},
		"a certificate for servers": {ask(t, client(b, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		})), "", callers.ErrCertificate},
		"a certificate for anything": {ask(t, client(b, func(c *x509.Certificate) { c.ExtKeyUsage = nil })), "", callers.ErrCertificate},
		"an old certificate":         {ask(t, client(b, expired)), "", callers.ErrCertificate},
		"a certificate of tomorrow":  {ask(t, client(b, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) })), "", callers.ErrCertificate},
		"an authority's certificate": {ask(t, client(b, func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true })), "", callers.ErrCertificate},
		"a chain with a gap":         {ask(t, &lonely), "", callers.ErrCertificate},
		"a root that two share":      {ask(t, client(twin, nil)), "", callers.ErrAmbiguous},
	} {
		t.Run(name, func(t *testing.T) {
			peer, err := identifier.Identify(test.request)
			if !errors.Is(err, test.err) || (err == nil) != (test.err == nil) {
				t.Fatalf("Identify() = %v, want %v", err, test.err)
			}
			if err != nil {
				if callers.Reason(err) == "other" || strings.Contains(err.Error(), "uuid-") {
					t.Errorf("reason %s, message %q", callers.Reason(err), err)
				}
				return
			}
			if peer.ClusterUUID() != test.want || !peer.Stands() {
				t.Errorf("identified %s, stands %v; want %s", peer.ClusterUUID(), peer.Stands(), test.want)
			}
		})
	}
}

func TestAHeaderWithACertificateIsNotBelieved(t *testing.T) {
	b := peerstest.NewPeer(t, "b")
	identifier := callers.Identifier{Registry: registry(t, map[string]peers.Entry{b.UUID: b.Entry(v1alpha1.IstioMulticlusterKind)}), ClusterUUID: here}
	r := ask(t, nil)
	r.Header.Set("Ssl-Client-Cert", b.Root.PEM())
	r.Header.Set("X-Forwarded-Client-Cert", b.Root.PEM())
	if _, err := identifier.Identify(r); !errors.Is(err, callers.ErrNothing) {
		t.Errorf("Identify() = %v", err)
	}
}

func TestTheIngressControllerSpeaksForItsCaller(t *testing.T) {
	b, federated := peerstest.NewPeer(t, "b"), peerstest.NewPeer(t, "f")
	controllers := certtest.NewRoot("ingress", time.Now())
	file := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(file, []byte(controllers.PEM), 0o600); err != nil {
		t.Fatal(err)
	}
	identifier := callers.Identifier{
		ClusterUUID:    here,
		IngressClients: tlsfiles.WatchRoots("ingress", file, slog.New(slog.DiscardHandler)),
		Registry: registry(t, map[string]peers.Entry{
			b.UUID: b.Entry(v1alpha1.IstioMulticlusterKind), federated.UUID: federated.Entry(v1alpha1.IstioFederationKind),
		}),
	}
	header := func(of peerstest.Peer) string {
		leaf := of.Root.Client(time.Now()).Certificate[0]
		return url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf})))
	}
	controller := controllers.Client(t, nil)
	other := certtest.NewRoot("ingress", time.Now()).Client(t, nil)
	for name, test := range map[string]struct {
		connection *tls.Certificate
		headers    []string
		err        error
	}{
		"for a neighbour":                   {&controller, []string{header(b)}, nil},
		"for a federation":                  {&controller, []string{header(federated)}, callers.ErrCertificate},
		"for nobody":                        {&controller, nil, callers.ErrNothing},
		"twice":                             {&controller, []string{header(b), header(b)}, callers.ErrCertificate},
		"nonsense":                          {&controller, []string{"%zz"}, callers.ErrCertificate},
		"somebody who names himself so":     {&other, []string{header(b)}, callers.ErrCertificate},
		"somebody without any certificate":  {nil, []string{header(b)}, callers.ErrNothing},
		"a neighbour who speaks for itself": {clientOf(t, b), []string{header(federated)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := ask(t, test.connection)
			r.Header["Ssl-Client-Cert"] = test.headers
			peer, err := identifier.Identify(r)
			if !errors.Is(err, test.err) || (err == nil) != (test.err == nil) {
				t.Fatalf("Identify() = %v, want %v", err, test.err)
			}
			if err == nil && peer.ClusterUUID() != b.UUID {
				t.Errorf("identified %s", peer.ClusterUUID())
			}
		})
	}
}

func clientOf(t *testing.T, of peerstest.Peer) *tls.Certificate {
	t.Helper()
	certificate := of.Root.Client(time.Now())
	return &certificate
}

func expired(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) }
func oldToken(t *authn.Token) {
	t.NotBefore, t.Expires = t.NotBefore.Add(-time.Hour), t.Expires.Add(-time.Hour)
}
func multicluster() (kind string) { return v1alpha1.IstioMulticlusterKind }
func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestAPermissionEndsWithTheResourceItsKeyOrItsRoot(t *testing.T) {
	b, other := peerstest.NewPeer(t, "b"), peerstest.NewPeer(t, "o")
	good := b.Entry(multicluster())
	with := func(field, value string) map[string]string {
		entry := b.Entry(multicluster())
		entry[field] = value
		return entry
	}
	for name, test := range map[string]struct {
		next  map[string]any
		ended bool
		// refused is what becomes of the token, which was accepted before.
		refused bool
	}{
		"nothing changes":         {map[string]any{b.UUID: good}, false, false},
		"another cluster joins":   {map[string]peers.Entry{b.UUID: good, other.UUID: other.Entry(multicluster())}, false, false},
		"the resource is removed": {map[string]any{}, true, true},
		"the key changes":         {map[string]any{b.UUID: with("authnKeyPub", other.Keys.Pub)}, true, true},
		"the root changes":        {map[string]any{b.UUID: with("rootCA", other.Root.PEM())}, true, false},
		"it becomes a federation": {map[string]any{b.UUID: with("kind", v1alpha1.IstioFederationKind)}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			registry := registry(t, map[string]any{b.UUID: good})
			identifier := callers.Identifier{Registry: registry, ClusterUUID: here, Verified: authn.NewVerifiedTokens(nil)}
			request := ask(t, nil, "Bearer "+b.Token(t, here, authn.ScopeAPI))
			peer, err := identifier.Identify(request)
			if err != nil || identifier.Verified.Len() != 1 {
				t.Fatalf("Identify() = %v, %d tokens are remembered", err, identifier.Verified.Len())
			}
			before := peer.Changed()
			changed, err := registry.Set(peerstest.JSON(t, test.next))
			if err != nil || changed != closed(before) || peer.Stands() == test.ended {
				t.Errorf("Set() = %v, %v; told %v; stands %v", changed, err, closed(before), peer.Stands())
			}
			if _, err := identifier.Identify(request); test.refused != errors.Is(err, authn.ErrUnknownCaller) || !test.refused && err != nil {
				t.Errorf("the remembered token: %v; refused should be %v", err, test.refused)
			}
		})
	}
}

func TestSetKeepsWhatItCannotReplace(t *testing.T) {
	b := peerstest.NewPeer(t, "b")
	registry := registry(t, map[string]peers.Entry{b.UUID: b.Entry(multicluster())})
	if _, err := registry.Set([]byte("rubbish")); err == nil || registry.Len() != 1 {
		t.Errorf("rubbish: %v, %d neighbours", err, registry.Len())
	}
	for name, entry := range map[string]map[string]string{
		"no key":           {"kind": multicluster(), "rootCA": b.Root.PEM()},
		"a key as root":    {"kind": multicluster(), "authnKeyPub": b.Keys.Pub, "rootCA": b.Keys.Pub},
		"text for a root":  {"kind": multicluster(), "authnKeyPub": b.Keys.Pub, "rootCA": "root"},
		"a broken root":    {"kind": multicluster(), "authnKeyPub": b.Keys.Pub, "rootCA": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"},
		"a root and a key": {"kind": multicluster(), "authnKeyPub": b.Keys.Pub, "rootCA": b.Root.PEM() + b.Keys.Pub},
	} {
		if _, err := registry.Set(peerstest.JSON(t, map[string]any{"uuid-x": entry})); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	// Those with broken roots stand as neighbours that need a token, so the state before is set anew.
	if _, err := registry.Set(peerstest.JSON(t, map[string]peers.Entry{b.UUID: b.Entry(multicluster())})); err != nil || registry.Len() != 1 {
		t.Fatalf("a good neighbour: %v, %d neighbours", err, registry.Len())
	}
	if changed, err := registry.Set(nil); err != nil || !changed || registry.Len() != 0 {
		t.Errorf("no content: %v, %v, %d neighbours", changed, err, registry.Len())
	}
}
