package mesh

import (
	"reflect"
	"strings"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
	meshv1alpha1 "istio.io/api/mesh/v1alpha1"

	"github.com/deckhouse-mesh/istio/test/support/certtest"
)

func TestRootsAreAskedForAndReplaced(t *testing.T) {
	fake, connection := startIstiod(t)
	client := connect(t, connection)
	fake.next(t, rootsType)
	fake.answer(t, clusterType, "1")
	fake.answer(t, listenerType, "2")
	view := await(t, client, func(*View) string { return "" })
	if trusted, err := view.Trusted(); err == nil {
		t.Errorf("without a word from istiod %d certificates are trusted", len(trusted))
	}
	own, peer := newRoot().Certificate, newRoot().Certificate
	for nonce, roots := range map[string][]string{"3": {certtest.PEM(own.Raw) + certtest.PEM(peer.Raw)}, "4": {certtest.PEM(own.Raw), certtest.PEM(peer.Raw)}} {
		fake.answer(t, rootsType, nonce, &meshv1alpha1.ProxyConfig{CaCertificatesPem: roots})
		fake.next(t, rootsType)
		view = await(t, client, func(view *View) string {
			if trusted, err := view.Trusted(); err != nil || len(trusted) != 2 || !trusted[0].Equal(own) || !trusted[1].Equal(peer) {
				return "both roots"
			}
			return ""
		})
	}
	fake.answer(t, rootsType, "5", &meshv1alpha1.ProxyConfig{CaCertificatesPem: []string{certtest.PEM(own.Raw)}})
	await(t, client, func(view *View) string {
		if trusted, err := view.Trusted(); err != nil || len(trusted) != 1 {
			return "the peer's root to go"
		}
		return ""
	})
	if trusted, err := view.Trusted(); err != nil || len(trusted) != 2 {
		t.Errorf("an older view has changed: %d (%v)", len(trusted), err)
	}
}

func TestAnAcceptanceBelongsToThePort(t *testing.T) {
	mutual := func(trustDomain string) *listenerv3.FilterChain {
		return &listenerv3.FilterChain{
			FilterChainMatch: &listenerv3.FilterChainMatch{DestinationPort: wrapperspb.UInt32(9000)},
			TransportSocket: socket(t, &tlsv3.DownstreamTlsContext{
				RequireClientCertificate: wrapperspb.Bool(true),
				CommonTlsContext: &tlsv3.CommonTlsContext{
					AlpnProtocols:                  []string{"h2"},
					TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{{Name: "default"}},
					ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
						ValidationContextSdsSecretConfig: &tlsv3.SdsSecretConfig{Name: "ROOTCA"},
						DefaultValidationContext: &tlsv3.CertificateValidationContext{
							MatchSubjectAltNames: []*matcherv3.StringMatcher{{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: "spiffe://" + trustDomain + "/"}}}, //nolint:staticcheck // what Istio sends
						},
					}},
				},
			}),
		}
	}
	open := plaintext(httpChain(t, ""), 9000)
	for name, test := range map[string]struct {
		chains []*listenerv3.FilterChain
		want   Acceptance
		err    string
	}{
		"among plaintext": {[]*listenerv3.FilterChain{open, mutual("cluster.local")},
			Acceptance{ALPN: []string{"h2"}, Certificate: "default", Roots: "ROOTCA", Identities: []string{"spiffe://cluster.local/*"}}, ""},
		"and one only":             {[]*listenerv3.FilterChain{mutual("cluster.local"), mutual("another.local")}, Acceptance{}, "in another"},
		"which may have none":      {[]*listenerv3.FilterChain{open}, Acceptance{}, "does not accept mutual TLS"},
		"which may not even exist": {nil, Acceptance{}, "does not accept mutual TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			view := newView()
			view.Listeners[inboundListener] = &listenerv3.Listener{FilterChains: test.chains}
			got, err := view.Acceptance(9000)
			if !reflect.DeepEqual(got, test.want) || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("acceptance %+v (%v), want %+v (%q)", got, err, test.want, test.err)
			}
		})
	}
}
