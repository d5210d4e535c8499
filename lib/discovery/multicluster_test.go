package discovery_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/ca"
	"github.com/deckhouse-mesh/istio/lib/discovery"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/peer"
)

// mesh is peers with the domain of this cluster, with exporters and API proxies, by URL and path.
type mesh struct {
	*testing.T
	keypair authn.Keypair
	now     time.Time

	mu      sync.Mutex
	answers map[string]any // a document, or an error
	tokens  map[string]string
}

func newMesh(t *testing.T) *mesh {
	t.Helper()
	keypair, err := authn.GenerateKeypair()
	if err != nil {
		t.Fatal(err)
	}
	return &mesh{T: t, keypair: keypair, now: start, answers: map[string]any{}, tokens: map[string]string{}}
}

func (m *mesh) Get(_ context.Context, target peer.Target, request peer.Request) (*peer.Response, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	address := strings.TrimSuffix(target.URL, "/") + "/" + request.Path
	m.tokens[address] = request.Token
	answer, ok := m.answers[address]
	if !ok {
		return nil, &peer.Error{Reason: peer.Unreachable, URL: address, Err: errors.New("no such host")}
	}
	if err, failed := answer.(error); failed {
		return nil, err
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	etag := metadata.ETag(body)
	if request.IfNoneMatch == etag {
		return &peer.Response{NotModified: true, ETag: etag}, nil
	}
	return &peer.Response{ETag: etag, Body: body}, nil
}

func (m *mesh) url(name, document string) string {
	if document == "version" {
		return "https://api-" + name + ".example.com/version"
	}
	return "https://" + name + ".example.com/metadata/" + document
}

// addPeer starts a cluster and returns the resource that leads to it.
func (m *mesh) addPeer(name string) v1alpha1.IstioMulticluster {
	m.Helper()
	authority, err := ca.Generate(self.TrustDomain)
	if err != nil {
		m.Fatal(err)
	}
	m.answers[m.url(name, metadata.PublicPath)] = metadata.Public{
		ClusterUUID: "uuid-" + name, AuthnKeyPub: m.keypair.Pub, RootCA: authority.Root, TrustDomain: self.TrustDomain,
	}
	m.answers[m.url(name, metadata.MulticlusterPath)] = metadata.Multicluster{
		IngressGateways: []metadata.IngressGateway{{Address: "192.0.2.1", Port: 15443}},
		APIHost:         "api-" + name + ".example.com", NetworkName: "network-" + name,
	}
	m.answers[m.url(name, "version")] = map[string]string{"gitVersion": "v1.34.3"}
	return v1alpha1.IstioMulticluster{
		ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1, CreationTimestamp: metav1.NewTime(start)},
		Spec:       v1alpha1.IstioMulticlusterSpec{PeerSpec: v1alpha1.PeerSpec{MetadataEndpoint: "https://" + name + ".example.com/metadata/"}},
	}
}

func (m *mesh) discoverer(elsewhere ...discovery.Claim) discovery.Discoverer {
	return discovery.Discoverer{Client: m, Self: self, PrivateKey: m.keypair.Priv, Now: m.now, Elsewhere: elsewhere}
}

// poll polls all peers and returns the resources with their new status.
func (m *mesh) poll(resources ...v1alpha1.IstioMulticluster) []v1alpha1.IstioMulticluster {
	return poll(m.discoverer(), resources...)
}

func (m *mesh) wantCondition(resource v1alpha1.IstioMulticluster, conditionType string, status metav1.ConditionStatus, reason, inMessage string) {
	m.Helper()
	wantCondition(m.T, &resource, conditionType, status, reason, inMessage)
}

func change[T any](m *mesh, address string, apply func(*T)) {
	m.Helper()
	document := m.answers[address].(T)
	apply(&document)
	m.answers[address] = document
}

func TestAMulticlusterPeerThatAnswersIsReady(t *testing.T) {
	m := newMesh(t)
	b := m.poll(m.addPeer("b"))[0]
	m.wantCondition(b, v1alpha1.ConditionReady, metav1.ConditionTrue, discovery.ReasonJoined, "network-b")
	for _, conditionType := range []string{v1alpha1.ConditionAccepted, v1alpha1.ConditionPublicMetadata, v1alpha1.ConditionPrivateMetadata, v1alpha1.ConditionAPI} {
		if !meta.IsStatusConditionTrue(b.Status.Conditions, conditionType) {
			t.Errorf("%s is not True: %+v", conditionType, b.Status.Conditions)
		}
	}
	key, err := authn.ParsePublicKey(m.keypair.Pub)
	if err != nil {
		t.Fatal(err)
	}
	verifier := authn.Verifier{Audience: "uuid-b", Now: func() time.Time { return start }, Key: func(subject string) (ed25519.PublicKey, bool) { return key, subject == "uuid-a" }}
	for document, scope := range map[string]string{metadata.MulticlusterPath: authn.ScopePrivateMulticluster, "version": authn.ScopeAPI} {
		if _, err := verifier.Verify(m.tokens[m.url("b", document)], scope); err != nil {
			t.Errorf("the token for %s: %v", document, err)
		}
	}
	if m.tokens[m.url("b", metadata.PublicPath)] != "" {
		t.Error("a public document was asked for with a token")
	}
}

func TestAnUnchangedMulticlusterPeerChangesNothing(t *testing.T) {
	m := newMesh(t)
	b := m.poll(m.addPeer("b"))[0]
	if again := m.poll(b)[0]; !equality.Semantic.DeepEqual(b.Status, again.Status) {
		t.Errorf("status changed from %+v to %+v", b.Status, again.Status)
	}
}

func TestAMulticlusterPeerIsNotReadyForAReason(t *testing.T) {
	for name, test := range map[string]struct {
		change                    func(*mesh, *v1alpha1.IstioMulticluster)
		reason, message           string
		publicKnown, privateKnown bool
	}{
		"another trust domain": {
			func(m *mesh, _ *v1alpha1.IstioMulticluster) {
				change(m, m.url("b", metadata.PublicPath), func(p *metadata.Public) { p.TrustDomain = "other.local" })
			}, discovery.ReasonTrustDomainMismatch, "IstioFederation", false, false,
		},
		"this cluster itself": {
			func(m *mesh, _ *v1alpha1.IstioMulticluster) {
				change(m, m.url("b", metadata.PublicPath), func(p *metadata.Public) { p.ClusterUUID = "UUID-A" })
			}, discovery.ReasonClusterUUIDIsOwn, "lead back", false, false,
		},
		"no identity": {
			func(m *mesh, _ *v1alpha1.IstioMulticluster) {
				change(m, m.url("b", metadata.PublicPath), func(p *metadata.Public) { p.RootCA = "" })
			}, discovery.ReasonInvalidPublicMetadata, "rootCA", false, false,
		},
		"roots that may not speak for the common domain": {
			func(m *mesh, _ *v1alpha1.IstioMulticluster) {
				root := constrainedRoot(m.T, "other.local")
				change(m, m.url("b", metadata.PublicPath), func(p *metadata.Public) { p.RootCA = root })
			}, discovery.ReasonRootsNotHonoured, "name constraints", false, false,
		},
		"a peer that does not answer": {
			func(m *mesh, _ *v1alpha1.IstioMulticluster) { delete(m.answers, m.url("b", metadata.PublicPath)) },
			string(peer.Unreachable), "no such host", false, false,
		},
		"no resource for this cluster there": {
			func(m *mesh, _ *v1alpha1.IstioMulticluster) {
				m.answers[m.url("b", metadata.MulticlusterPath)] = &peer.Error{Reason: peer.Unauthorized, StatusCode: 401}
			}, string(peer.Unauthorized), "create the resource", true, false,
		},
		"an API that is no host": {
			func(m *mesh, _ *v1alpha1.IstioMulticluster) {
				change(m, m.url("b", metadata.MulticlusterPath), func(p *metadata.Multicluster) { p.APIHost = "https://x" })
			}, discovery.ReasonInvalidPrivateMetadata, "apiHost", true, false,
		},
		"this cluster's own network": {
			func(m *mesh, _ *v1alpha1.IstioMulticluster) {
				change(m, m.url("b", metadata.MulticlusterPath), func(p *metadata.Multicluster) { p.NetworkName = self.NetworkName() })
			}, discovery.ReasonNetworkNameIsOwn, "lead back", true, false,
		},
		"an API that does not answer": {
			func(m *mesh, _ *v1alpha1.IstioMulticluster) { delete(m.answers, m.url("b", "version")) },
			discovery.ReasonAPIUnreachable, "api-proxy", true, true,
		},
		"an API with a certificate that is not trusted": {
			func(m *mesh, _ *v1alpha1.IstioMulticluster) {
				m.answers[m.url("b", "version")] = &peer.Error{Reason: peer.TLS, Err: errors.New("unknown authority")}
			}, discovery.ReasonAPINotTrusted, "spec.metadata.ca", true, true,
		},
		"an API that rejects this cluster": {
			func(m *mesh, _ *v1alpha1.IstioMulticluster) {
				m.answers[m.url("b", "version")] = &peer.Error{Reason: peer.Unauthorized, StatusCode: 401}
			}, discovery.ReasonAPIRefuses, "401 Unauthorized", true, true,
		},
		"an API that is something else": {
			func(m *mesh, _ *v1alpha1.IstioMulticluster) {
				m.answers[m.url("b", "version")] = map[string]string{"hello": "world"}
			}, discovery.ReasonAPIUnexpectedAnswer, "not that of a Kubernetes API server", true, true,
		},
		"no gateway to enter by": {
			func(m *mesh, _ *v1alpha1.IstioMulticluster) {
				change(m, m.url("b", metadata.MulticlusterPath), func(p *metadata.Multicluster) { p.IngressGateways = nil })
			}, discovery.ReasonNoGateways, "enableIngressGateway", true, true,
		},
		"a name that Istio does not accept": {
			func(_ *mesh, resource *v1alpha1.IstioMulticluster) { resource.Name = "cluster.b" },
			discovery.ReasonNameUnusable, "63 small letters", false, false,
		},
		"a name that is this cluster's": {
			func(_ *mesh, resource *v1alpha1.IstioMulticluster) { resource.Name = "uuid-a" },
			discovery.ReasonNameUnusable, "another name", false, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMesh(t)
			b := m.addPeer("b")
			test.change(m, &b)
			b = m.poll(b)[0]
			m.wantCondition(b, v1alpha1.ConditionReady, metav1.ConditionFalse, test.reason, test.message)
			cache := b.Status.MetadataCache
			if (cache.Public != nil) != test.publicKnown || (cache.Private != nil) != test.privateKnown {
				t.Errorf("learned: public %v, private %v", cache.Public != nil, cache.Private != nil)
			}
			if again := m.poll(b)[0]; !equality.Semantic.DeepEqual(b.Status, again.Status) {
				t.Errorf("the same again changes the status from\n%+v to\n%+v", b.Status, again.Status)
			}
		})
	}
}

func TestAPeerThatDoesNotSayItsTrustDomainIsAccepted(t *testing.T) {
	m := newMesh(t)
	b := m.addPeer("b")
	change(m, m.url("b", metadata.PublicPath), func(p *metadata.Public) { p.TrustDomain = "" })
	m.wantCondition(m.poll(b)[0], v1alpha1.ConditionReady, metav1.ConditionTrue, discovery.ReasonJoined, "")
}

func TestFlatNetworksNeedNoGateway(t *testing.T) {
	m := newMesh(t)
	b := m.addPeer("b")
	change(m, m.url("b", metadata.MulticlusterPath), func(p *metadata.Multicluster) { p.IngressGateways = nil })
	no := false
	b.Spec.EnableIngressGateway = &no
	m.wantCondition(m.poll(b)[0], v1alpha1.ConditionReady, metav1.ConditionTrue, discovery.ReasonJoined, "")
}

func TestAnInvalidGatewayOfAMulticlusterPeerIsReportedAndTheOthersAreUsed(t *testing.T) {
	m := newMesh(t)
	b := m.addPeer("b")
	change(m, m.url("b", metadata.MulticlusterPath), func(p *metadata.Multicluster) {
		p.IngressGateways = append(p.IngressGateways, metadata.IngressGateway{Address: "0.0.0.0", Port: 1})
	})
	b = m.poll(b)[0]
	m.wantCondition(b, v1alpha1.ConditionPrivateMetadata, metav1.ConditionTrue, discovery.ReasonFetched, "0.0.0.0")
	m.wantCondition(b, v1alpha1.ConditionReady, metav1.ConditionTrue, discovery.ReasonJoined, "")
	if got := b.Status.MetadataCache.Private.IngressGateways; len(got) != 1 {
		t.Errorf("gateways %v", got)
	}
	if again := m.poll(b)[0]; !equality.Semantic.DeepEqual(b.Status, again.Status) {
		t.Errorf("what was said of an unchanged document changes to %+v", again.Status.Conditions)
	}
}

func TestFailuresRetainWhatWasLearnedOfAMulticlusterPeer(t *testing.T) {
	for _, document := range []string{metadata.PublicPath, metadata.MulticlusterPath, "version"} {
		t.Run(document, func(t *testing.T) {
			m := newMesh(t)
			b := m.poll(m.addPeer("b"))[0]
			delete(m.answers, m.url("b", document))
			m.now = start.Add(time.Hour)
			after := m.poll(b)[0]
			if meta.IsStatusConditionTrue(after.Status.Conditions, v1alpha1.ConditionReady) {
				t.Error("it is still ready")
			}
			if !reflect.DeepEqual(after.Status.MetadataCache.Public, b.Status.MetadataCache.Public) || !reflect.DeepEqual(after.Status.MetadataCache.Private, b.Status.MetadataCache.Private) {
				t.Errorf("cache %+v", after.Status.MetadataCache)
			}
			if got := accepted([]v1alpha1.IstioMulticluster{after}); len(got) != 1 {
				t.Error("it is not accepted any more")
			}
		})
	}
}

func TestAnIdentityOrNetworkOfAnOlderResourceIsRejected(t *testing.T) {
	m := newMesh(t)
	old, young := m.addPeer("old"), m.addPeer("young")
	old.CreationTimestamp = metav1.NewTime(start.Add(-time.Hour))
	change(m, m.url("young", metadata.PublicPath), func(p *metadata.Public) { p.ClusterUUID = "UUID-old" })
	polled := m.poll(young, old)
	m.wantCondition(polled[0], v1alpha1.ConditionReady, metav1.ConditionFalse, discovery.ReasonClusterUUIDTaken, `IstioMulticluster "old"`)
	m.wantCondition(polled[1], v1alpha1.ConditionReady, metav1.ConditionTrue, discovery.ReasonJoined, "")

	young = m.addPeer("young")
	change(m, m.url("young", metadata.MulticlusterPath), func(p *metadata.Multicluster) { p.NetworkName = "network-old" })
	polled = m.poll(young, old)
	m.wantCondition(polled[0], v1alpha1.ConditionReady, metav1.ConditionFalse, discovery.ReasonNetworkNameTaken, `IstioMulticluster "old"`)
	m.wantCondition(polled[1], v1alpha1.ConditionReady, metav1.ConditionTrue, discovery.ReasonJoined, "")
}

func TestTheOlderResourceHoldsAnIdentityWhateverItsKind(t *testing.T) {
	for name, test := range map[string]struct {
		federation time.Duration
		accepted   int
	}{
		"the federation is older": {-time.Hour, 0},
		"the federation is newer": {time.Hour, 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMesh(t)
			claim := discovery.Claim{Kind: v1alpha1.IstioFederationKind, Name: "f", Created: start.Add(test.federation), ClusterUUID: "Uuid-b"}
			b := m.poll(m.addPeer("b"))[0]
			if got := accepted([]v1alpha1.IstioMulticluster{b}, claim); len(got) != test.accepted {
				t.Errorf("%d are accepted, want %d", len(got), test.accepted)
			}
			b = poll(m.discoverer(claim), b)[0]
			if test.accepted == 0 {
				m.wantCondition(b, v1alpha1.ConditionReady, metav1.ConditionFalse, discovery.ReasonClusterUUIDTaken, `IstioFederation "f"`)
			} else {
				m.wantCondition(b, v1alpha1.ConditionReady, metav1.ConditionTrue, discovery.ReasonJoined, "")
			}
			// And the other way round.
			w := newWorld(t)
			f := w.addPeer("b")
			f.Name, f.CreationTimestamp = "f", metav1.NewTime(claim.Created)
			f = w.poll(f)[0]
			if got := accepted([]v1alpha1.IstioFederation{f}, discovery.Claims(self, v1alpha1.Peers([]v1alpha1.IstioMulticluster{b}))...); len(got) != 1-test.accepted {
				t.Errorf("%d federations are accepted", len(got))
			}
		})
	}
}

func TestTheIdentityOfAnUnverifiedMulticlusterPeerIsPinned(t *testing.T) {
	m := newMesh(t)
	b := m.addPeer("b")
	b.Spec.Metadata.InsecureSkipVerify = true
	b = m.poll(b)[0]
	m.wantCondition(b, v1alpha1.ConditionReady, metav1.ConditionTrue, discovery.ReasonJoined, "")
	change(m, m.url("b", metadata.PublicPath), func(p *metadata.Public) { p.ClusterUUID = "uuid-evil" })
	rejected := m.poll(b)[0]
	m.wantCondition(rejected, v1alpha1.ConditionReady, metav1.ConditionFalse, discovery.ReasonIdentityChanged, "kubectl annotate istiomulticluster b")
	if rejected.Status.MetadataCache.Public.ClusterUUID != "uuid-b" {
		t.Errorf("it learned %s", rejected.Status.MetadataCache.Public.ClusterUUID)
	}
	public := m.answers[m.url("b", metadata.PublicPath)].(metadata.Public)
	parsed, err := metadata.ParsePublic(mustJSON(t, public), m.now)
	if err != nil {
		t.Fatal(err)
	}
	rejected.Annotations = map[string]string{v1alpha1.AcceptIdentityAnnotation: discovery.Fingerprint(parsed, m.now)}
	m.wantCondition(m.poll(rejected)[0], v1alpha1.ConditionReady, metav1.ConditionTrue, discovery.ReasonJoined, "")
}

func mustJSON(t *testing.T, value any) []byte {
	t.Helper()
	encoded, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}
