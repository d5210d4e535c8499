package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/peers"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

// TestThePermissionsOfAPeerEndWithItsResource goes through both kinds and all that can
// become of a resource while the Secret names the peer still.
func TestThePermissionsOfAPeerEndWithItsResource(t *testing.T) {
	for _, document := range private {
		for name, becomes := range map[string]func(peers.Resource) []peers.Resource{
			"is deleted": func(peers.Resource) []peers.Resource { return nil },
			"is replaced by another of its name": func(former peers.Resource) []peers.Resource {
				former.UID = "another"
				return []peers.Resource{former}
			},
		} {
			t.Run(document.kind+" "+name, func(t *testing.T) {
				e := start(t)
				accepted, other := e.federated, e.multicluster
				if document.kind == "IstioMulticluster" {
					accepted, other = e.multicluster, e.federated
				}
				others := other.Resource(otherKind(document.kind))
				token := bearer(accepted.Token(t, e.own.UUID, document.scope))
				pair := accepted.Root.Client(time.Now())
				byToken := e.ask(http.MethodGet, document.path, token...)
				byCertificate := e.as(&pair).ask(http.MethodGet, document.path)
				if byToken.code != http.StatusOK || byCertificate.code != http.StatusOK {
					t.Fatalf("before: %+v, %+v", byToken, byCertificate)
				}
				waiting := []string{"If-None-Match", byToken.header.Get("ETag"), "Prefer", "wait=50"}
				held := []<-chan answer{
					e.hold(1, document.path, append(waiting, token...)...),
					e.as(&pair).hold(2, document.path, waiting...),
				}

				e.peers.SetExisting(peers.ExistingOf(append(becomes(accepted.Resource(document.kind)), others)...))
				for _, each := range held {
					if got := e.receive(each); got.code != http.StatusUnauthorized || strings.Contains(got.body, "10.0.0.1") {
						t.Errorf("a held poll ends with %+v", got)
					}
				}
				for proof, got := range map[string]answer{
					"the token that was accepted before":       e.ask(http.MethodGet, document.path, token...),
					"a new token":                              e.ask(http.MethodGet, document.path, bearer(accepted.Token(t, e.own.UUID, document.scope))...),
					"the certificate that was accepted before": e.as(&pair).ask(http.MethodGet, document.path),
				} {
					if got.code != http.StatusUnauthorized {
						t.Errorf("%s: %+v", proof, got)
					}
				}
				for _, each := range private {
					if each.kind == others.Kind {
						if got := e.ask(http.MethodGet, each.path, bearer(other.Token(t, e.own.UUID, each.scope))...); got.code != http.StatusOK {
							t.Errorf("the other peer: %+v", got)
						}
					}
				}

				e.peers.SetExisting(peers.ExistingOf(accepted.Resource(document.kind), others))
				if got := e.ask(http.MethodGet, document.path, token...); got.code != http.StatusOK {
					t.Errorf("after the resource has come back: %+v", got)
				}
			})
		}
	}
}

func otherKind(kind string) string {
	if kind == "IstioFederation" {
		return "IstioMulticluster"
	}
	return "IstioFederation"
}

func TestAHeldRequestOutlivesResourcesOfOthers(t *testing.T) {
	e := start(t)
	answers := e.hold(1, "private/federation.json", e.waiting(50)...)
	e.peers.SetExisting(peers.ExistingOf(e.federated.Resource("IstioFederation"), peerstest.NewPeer(t, "new").Resource("IstioFederation")))
	e.publish("web")
	if got := e.receive(answers); got.code != http.StatusOK || !strings.Contains(got.body, "web.shop") {
		t.Errorf("got %+v", got)
	}
}
