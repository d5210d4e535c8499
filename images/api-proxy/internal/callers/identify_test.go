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
	"github.com/deckhouse-mesh/istio/lib/clientcert"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/peers"
	"github.com/deckhouse-mesh/istio/lib/tlsfiles"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

const (
	here         = "uuid-here"
	multicluster = v1alpha1.IstioMulticlusterKind
	federation   = v1alpha1.IstioFederationKind
)

func registry(t *testing.T, entries map[string]peers.Entry) *peers.Registry {
	t.Helper()
	registry := peers.NewRegistry(multicluster)
	peerstest.Accept(t, registry, entries)
	return registry
}

// ask makes a request with a client certificate's chain, as the TLS connection would, and Authorization headers.
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

func TestACallerIsIdentifiedByAValidTokenOrCertificate(t *testing.T) {
	b, c := peerstest.NewPeer(t, "b"), peerstest.NewPeer(t, "c")
	federated, stranger := peerstest.NewPeer(t, "f"), peerstest.NewPeer(t, "s")
	tokenOnly := peerstest.NewPeer(t, "t")
	twin, sibling := peerstest.NewPeer(t, "twin"), peerstest.NewPeer(t, "sibling")
	sibling.Root = twin.Root
	// Once their roots were another's, too: that of "former", and of "renewing" the one that it had before.
	former, renewing := peerstest.NewPeer(t, "former"), peerstest.NewPeer(t, "renewing")
	before := peerstest.NewPeer(t, "before").Root
	formerly, renewed := former.Entry(multicluster), renewing.Entry(multicluster)
	formerly.SharedRoots = []string{fingerprint(t, former.Root)}
	renewed.RootCA += before.PEM()
	renewed.SharedRoots = []string{fingerprint(t, before)}
	oldClient := before.Client(time.Now())
	rootless := tokenOnly.Entry(multicluster)
	rootless.RootCA = ""
	entries := map[string]peers.Entry{
		b.UUID: b.Entry(multicluster), c.UUID: c.Entry(multicluster),
		federated.UUID: federated.Entry(federation), tokenOnly.UUID: rootless,
		twin.UUID: twin.Entry(multicluster), sibling.UUID: sibling.Entry(federation),
		former.UUID: formerly, renewing.UUID: renewed,
	}
	registry := peers.NewRegistry(multicluster)
	registry.SetExisting(peerstest.Existing(entries))
	if _, err := registry.SetAccepted(peerstest.JSON(t, entries)); err == nil || !strings.Contains(err.Error(), `"t" (cluster uuid-t) needs a token`) {
		t.Fatalf("SetAccepted() = %v", err)
	}
	identifier := callers.Identifier{Registry: registry, ClusterUUID: here, Verified: authn.NewVerifiedTokens()}

	token := func(of peerstest.Peer, change func(*authn.Token)) string {
		return "Bearer " + of.Token(t, here, authn.ScopeAPI, change)
	}
	client := func(of peerstest.Peer, change func(*x509.Certificate)) *tls.Certificate {
		return of.Client(t, change)
	}
	intermediate := b.Root.Intermediate("istiod", time.Now()).Client(time.Now())
	lonely := b.Root.Intermediate("istiod", time.Now()).Client(time.Now())
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

		"a token where the root was another's, too":    {ask(t, client(former, nil), token(former, nil)), "uuid-former", nil},
		"a certificate under its own one of two roots": {ask(t, client(renewing, nil)), "uuid-renewing", nil},

		"nothing":    {ask(t, nil), "", callers.ErrNothing},
		"a password": {ask(t, nil, "Basic YWRtaW46YWRtaW4="), "", callers.ErrNothing},
		"two tokens": {ask(t, nil, token(b, nil), token(c, nil)), "", authn.ErrSeveralHeaders},
		"no JWT":     {ask(t, nil, "Bearer abc"), "", authn.ErrMalformed},
		"a token and a certificate that disagree": {ask(t, client(c, nil), token(b, nil)), "", callers.ErrDisagree},
		"a federation's token":                    {ask(t, nil, token(federated, nil)), "", authn.ErrUnknownCaller},
		"a federation's certificate":              {ask(t, client(federated, nil)), "", callers.ErrCertificate},
		"an unknown cluster's token":              {ask(t, nil, token(stranger, nil)), "", authn.ErrUnknownCaller},
		"an unknown cluster's certificate":        {ask(t, client(stranger, nil)), "", callers.ErrCertificate},
		"an unknown cluster that claims to be b":  {ask(t, nil, token(stranger, func(t *authn.Token) { t.Subject = "uuid-b" })), "", authn.ErrUnknownCaller},
		"a token for another cluster":             {ask(t, nil, token(b, func(t *authn.Token) { t.Audience = "uuid-c" })), "", authn.ErrAudience},
		"a token for metadata":                    {ask(t, nil, token(b, func(t *authn.Token) { t.Scope = authn.ScopePrivateMulticluster })), "", authn.ErrScope},
		"an old token":                            {ask(t, nil, token(b, oldToken)), "", authn.ErrExpired},
		"a certificate of a workload":             {ask(t, client(b, func(c *x509.Certificate) { c.Subject = pkix.Name{} })), "", callers.ErrCertificate},
		"CN as an alternative name only":          {ask(t, client(b, func(c *x509.Certificate) { c.Subject = pkix.Name{}; c.DNSNames = []string{"deckhouse"} })), "", callers.ErrCertificate},
		"a certificate for servers": {ask(t, client(b, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		})), "", callers.ErrCertificate},
		"a certificate for anything":                   {ask(t, client(b, func(c *x509.Certificate) { c.ExtKeyUsage = nil })), "", callers.ErrCertificate},
		"an old certificate":                           {ask(t, client(b, expired)), "", callers.ErrCertificate},
		"a certificate of tomorrow":                    {ask(t, client(b, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) })), "", callers.ErrCertificate},
		"an authority's certificate":                   {ask(t, client(b, func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true })), "", callers.ErrCertificate},
		"a chain with a gap":                           {ask(t, &lonely), "", callers.ErrCertificate},
		"a root that two share":                        {ask(t, client(twin, nil)), "", callers.ErrAmbiguous},
		"a root that two once named":                   {ask(t, client(former, nil)), "", callers.ErrAmbiguous},
		"the one of two roots that another once named": {ask(t, &oldClient), "", callers.ErrAmbiguous},
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
			if peer.ClusterUUID != test.want || !peer.Allowed() {
				t.Errorf("identified %s, allowed %v; want %s", peer.ClusterUUID, peer.Allowed(), test.want)
			}
		})
	}
}

func fingerprint(t *testing.T, root certtest.Authority) string {
	t.Helper()
	parsed, err := metadata.ParseRoots(root.PEM(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return clientcert.AnchorOf(parsed[0]).String()
}

func TestAHeaderWithACertificateIsNotTrusted(t *testing.T) {
	b := peerstest.NewPeer(t, "b")
	identifier := callers.Identifier{Registry: registry(t, map[string]peers.Entry{b.UUID: b.Entry(multicluster)}), ClusterUUID: here}
	r := ask(t, nil)
	r.Header.Set("Ssl-Client-Cert", b.Root.PEM())
	r.Header.Set("X-Forwarded-Client-Cert", b.Root.PEM())
	if _, err := identifier.Identify(r); !errors.Is(err, callers.ErrNothing) {
		t.Errorf("Identify() = %v", err)
	}
}

func TestTheIngressControllerForwardsTheCertificateOfItsCaller(t *testing.T) {
	b, federated := peerstest.NewPeer(t, "b"), peerstest.NewPeer(t, "f")
	controllers := certtest.NewRoot("ingress", time.Now())
	file := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(file, []byte(controllers.PEM()), 0o600); err != nil {
		t.Fatal(err)
	}
	identifier := callers.Identifier{
		ClusterUUID:    here,
		IngressClients: tlsfiles.WatchRoots("ingress", file, slog.New(slog.DiscardHandler)),
		Registry: registry(t, map[string]peers.Entry{
			b.UUID: b.Entry(multicluster), federated.UUID: federated.Entry(federation),
		}),
	}
	header := func(of peerstest.Peer) string {
		leaf := of.Root.Client(time.Now()).Certificate[0]
		return url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf})))
	}
	controller := controllers.Client(time.Now())
	other := certtest.NewRoot("ingress", time.Now()).Client(time.Now())
	for name, test := range map[string]struct {
		connection *tls.Certificate
		headers    []string
		err        error
	}{
		"for a peer":                       {&controller, []string{header(b)}, nil},
		"for a federation":                 {&controller, []string{header(federated)}, callers.ErrCertificate},
		"without a caller's certificate":   {&controller, nil, callers.ErrNothing},
		"twice":                            {&controller, []string{header(b), header(b)}, callers.ErrCertificate},
		"nonsense":                         {&controller, []string{"%zz"}, callers.ErrCertificate},
		"another one of that name":         {&other, []string{header(b)}, callers.ErrCertificate},
		"a caller without any certificate": {nil, []string{header(b)}, callers.ErrNothing},
		"a peer that is no controller":     {b.Client(t), []string{header(federated)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := ask(t, test.connection)
			r.Header["Ssl-Client-Cert"] = test.headers
			peer, err := identifier.Identify(r)
			if !errors.Is(err, test.err) || (err == nil) != (test.err == nil) {
				t.Fatalf("Identify() = %v, want %v", err, test.err)
			}
			if err == nil && peer.ClusterUUID != b.UUID {
				t.Errorf("identified %s", peer.ClusterUUID)
			}
		})
	}
}

func expired(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) }
func oldToken(t *authn.Token) {
	t.NotBefore, t.Expires = t.NotBefore.Add(-time.Hour), t.Expires.Add(-time.Hour)
}
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
	good := b.Entry(multicluster)
	with := func(change func(*peers.Entry)) map[string]peers.Entry {
		entry := b.Entry(multicluster)
		change(&entry)
		return map[string]peers.Entry{b.UUID: entry}
	}
	for name, test := range map[string]struct {
		next  map[string]peers.Entry
		ended bool
		// rejected is true when the token, which was accepted before, is rejected then.
		rejected bool
	}{
		"nothing changes":          {map[string]peers.Entry{b.UUID: good}, false, false},
		"another peer is accepted": {map[string]peers.Entry{b.UUID: good, other.UUID: other.Entry(multicluster)}, false, false},
		"the entry is removed":     {map[string]peers.Entry{}, true, true},
		"the key changes":          {with(func(e *peers.Entry) { e.AuthnKeyPub = other.Keys.Pub }), true, true},
		"the root changes":         {with(func(e *peers.Entry) { e.RootCA = other.Root.PEM() }), true, false},
		"its root is shared":       {with(func(e *peers.Entry) { e.SharedRoots = []string{fingerprint(t, b.Root)} }), true, false},
		"it becomes a federation":  {with(func(e *peers.Entry) { e.Kind = federation }), true, true},
	} {
		t.Run(name, func(t *testing.T) {
			registry := registry(t, map[string]peers.Entry{b.UUID: good})
			identifier := callers.Identifier{Registry: registry, ClusterUUID: here, Verified: authn.NewVerifiedTokens()}
			request := ask(t, nil, "Bearer "+b.Token(t, here, authn.ScopeAPI))
			peer, err := identifier.Identify(request)
			if err != nil || identifier.Verified.Len() != 1 {
				t.Fatalf("Identify() = %v, %d tokens are remembered", err, identifier.Verified.Len())
			}
			before := peer.Changed()
			changed, err := registry.SetAccepted(peerstest.JSON(t, test.next))
			if err != nil || changed != closed(before) || peer.Allowed() == test.ended {
				t.Errorf("SetAccepted() = %v, %v; notified %v; allowed %v", changed, err, closed(before), peer.Allowed())
			}
			if _, err := identifier.Identify(request); test.rejected != errors.Is(err, authn.ErrUnknownCaller) || !test.rejected && err != nil {
				t.Errorf("the remembered token: %v; want a rejection: %v", err, test.rejected)
			}
		})
	}
}
