package discovery_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
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
	"github.com/deckhouse-mesh/istio/lib/federation"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/peer"
	"github.com/deckhouse-mesh/istio/lib/servicelist"
)

var (
	self = discovery.Self{TrustDomain: "cluster-a.local", ClusterUUID: "uuid-a", Network: metadata.Network{
		Pods: []netip.Prefix{netip.MustParsePrefix("10.111.0.0/16")}, Services: []netip.Prefix{netip.MustParsePrefix("10.222.0.0/16")},
		APIServers: []netip.Addr{netip.MustParseAddr("192.168.0.10")},
	}}
	// CAs that are made in a test are valid from the minutes before it.
	start = time.Now().UTC().Truncate(time.Minute).Add(10 * time.Second)
)

// fakePeers answers like metadata-exporters, by URL of the endpoint.
type fakePeers struct {
	mu       sync.Mutex
	peers    map[string]*fakePeer
	requests []string
}

type fakePeer struct {
	public, private any
	publicErr       error
	privateErr      error
	// covered is the ETag of another document that the private document's ETag covers.
	covered string
}

func (f *fakePeers) Get(_ context.Context, target peer.Target, request peer.Request) (*peer.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, target.URL+request.Path+request.IfNoneMatch)
	known, ok := f.peers[target.URL]
	if !ok {
		return nil, &peer.Error{Reason: peer.Unreachable, URL: target.URL, Err: errors.New("no such host")}
	}
	document, err := known.public, known.publicErr
	if request.Path == metadata.FederationPath {
		document, err = known.private, known.privateErr
	}
	if err != nil {
		return nil, err
	}
	body, ok := document.([]byte)
	if !ok {
		if body, err = json.Marshal(document); err != nil {
			return nil, err
		}
	}
	etag := metadata.ETag(body)
	if request.Path == metadata.FederationPath {
		etag = metadata.ETagCovering(body, known.covered)
	}
	if request.IfNoneMatch == etag {
		return &peer.Response{NotModified: true, ETag: etag}, nil
	}
	return &peer.Response{ETag: etag, Body: body}, nil
}

type world struct {
	testing.TB
	*fakePeers
	keypair authn.Keypair
	now     time.Time
	// anchors are the trust anchors issued so far.
	anchors string
	// network of this cluster, as far as it is known.
	network metadata.Network
	codec   servicelist.Codec
}

// encoded is a resource's status as it is written.
func (w *world) encoded(resource v1alpha1.IstioFederation) []byte {
	w.Helper()
	packed, err := w.codec.PackStatus(resource.Status)
	if err != nil {
		w.Fatal(err)
	}
	encoded, err := json.Marshal(packed)
	if err != nil {
		w.Fatal(err)
	}
	return encoded
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	keypair, err := authn.GenerateKeypair()
	if err != nil {
		tb.Fatal(err)
	}
	return &world{TB: tb, fakePeers: &fakePeers{peers: map[string]*fakePeer{}}, keypair: keypair, now: start, network: self.Network}
}

// addPeer starts cluster-<name> and returns the resource that leads to it.
func (w *world) addPeer(name string, services ...string) v1alpha1.IstioFederation {
	w.Helper()
	authority, err := ca.Generate("cluster-" + name + ".local")
	if err != nil {
		w.Fatal(err)
	}
	published := []metadata.PublicService{}
	for _, hostname := range services {
		published = append(published, metadata.PublicService{Hostname: hostname, Ports: []metadata.ServicePort{{Name: "http", Port: 80, Protocol: "HTTP"}}})
	}
	endpoint := "https://" + name + ".example.com/metadata/"
	w.peers[endpoint] = &fakePeer{
		public: metadata.Public{ClusterUUID: "uuid-" + name, AuthnKeyPub: w.keypair.Pub, RootCA: authority.Root, TrustDomain: "cluster-" + name + ".local"},
		private: metadata.Federation{
			IngressGateways: []metadata.IngressGateway{{Address: "192.0.2.1", Port: 15443}},
			PublicServices:  published,
		},
	}
	return v1alpha1.IstioFederation{
		ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1, CreationTimestamp: metav1.NewTime(start)},
		Spec: v1alpha1.IstioFederationSpec{
			TrustDomain: "cluster-" + name + ".local", PeerSpec: v1alpha1.PeerSpec{MetadataEndpoint: endpoint},
		},
	}
}

func (w *world) peerOf(resource v1alpha1.IstioFederation) *fakePeer {
	return w.peers[resource.Spec.MetadataEndpoint]
}

func (w *world) discoverer() discovery.Discoverer {
	this := self
	this.Network = w.network
	return discovery.Discoverer{Client: w.fakePeers, Self: this, PrivateKey: w.keypair.Priv, Now: w.now, Codec: &w.codec}
}

// poll polls all peers and returns the resources with their new status.
func (w *world) poll(resources ...v1alpha1.IstioFederation) []v1alpha1.IstioFederation {
	return poll(w.discoverer(), resources...)
}

func (w *world) wantCondition(resource v1alpha1.IstioFederation, conditionType string, status metav1.ConditionStatus, reason, inMessage string) {
	w.Helper()
	wantCondition(w.TB, &resource, conditionType, status, reason, inMessage)
}

func TestAFederationPeerThatAnswersIsReady(t *testing.T) {
	w := newWorld(t)
	b := w.poll(w.addPeer("b", "api.shop.svc.cluster-b.local", "db.shop.svc.cluster-b.local"))[0]

	w.wantCondition(b, v1alpha1.ConditionReady, metav1.ConditionTrue, discovery.ReasonJoined, "imported: 2")
	for _, conditionType := range []string{v1alpha1.ConditionAccepted, v1alpha1.ConditionPublicMetadata, v1alpha1.ConditionPrivateMetadata, v1alpha1.ConditionServices} {
		if !meta.IsStatusConditionTrue(b.Status.Conditions, conditionType) {
			t.Errorf("%s is not True: %+v", conditionType, b.Status.Conditions)
		}
	}
	if *b.Status.ImportedServices != 2 || b.Status.ObservedGeneration != 1 || len(b.Status.MetadataCache.Private.PublicServices) != 2 {
		t.Errorf("status %+v", b.Status)
	}
	if got := b.Status.MetadataCache.PublicLastFetchTimestamp; got == nil || !got.Time.Equal(start) {
		t.Errorf("last fetch %v, want %v", got, start)
	}
}

func TestTheTokenNamesThePeerAsAudience(t *testing.T) {
	w := newWorld(t)
	b := w.addPeer("b")
	var token string
	capture := getterFunc(func(ctx context.Context, target peer.Target, request peer.Request) (*peer.Response, error) {
		if request.Path == metadata.FederationPath {
			token = request.Token
		} else if request.Token != "" {
			t.Error("a public document was asked for with a token")
		}
		return w.Get(ctx, target, request)
	})
	discoverer := w.discoverer()
	discoverer.Client = capture
	poll(discoverer, b)

	key, err := authn.ParsePublicKey(w.keypair.Pub)
	if err != nil {
		t.Fatal(err)
	}
	verifier := authn.Verifier{Audience: "uuid-b", Now: func() time.Time { return w.now }, Key: func(subject string) (ed25519.PublicKey, bool) { return key, subject == "uuid-a" }}
	if subject, err := verifier.Verify(token, authn.ScopePrivateFederation); err != nil || subject != "uuid-a" {
		t.Errorf("verify: %q, %v", subject, err)
	}
}

type getterFunc func(context.Context, peer.Target, peer.Request) (*peer.Response, error)

func (f getterFunc) Get(ctx context.Context, target peer.Target, request peer.Request) (*peer.Response, error) {
	return f(ctx, target, request)
}

func TestAnUnchangedFederationPeerChangesOnlyTheTimeOfContact(t *testing.T) {
	w := newWorld(t)
	first := w.poll(w.addPeer("b", "api.shop.svc.cluster-b.local"))[0]

	w.now = w.now.Add(20 * time.Second)
	w.requests = nil
	second := w.poll(first)[0]
	if !reflect.DeepEqual(first.Status, second.Status) {
		t.Errorf("in the same minute:\n%+v\n%+v", first.Status, second.Status)
	}
	for _, request := range w.requests {
		if !strings.HasSuffix(request, `"`) {
			t.Errorf("%s was not asked for conditionally", request)
		}
	}

	w.now = w.now.Add(time.Minute)
	third := w.poll(second)[0]
	if third.Status.MetadataCache.PublicLastFetchTimestamp.Equal(first.Status.MetadataCache.PublicLastFetchTimestamp) {
		t.Error("a minute later the last contact is still the old one")
	}
	third.Status.MetadataCache.PublicLastFetchTimestamp = first.Status.MetadataCache.PublicLastFetchTimestamp
	third.Status.MetadataCache.PrivateLastFetchTimestamp = first.Status.MetadataCache.PrivateLastFetchTimestamp
	if !reflect.DeepEqual(first.Status, third.Status) {
		t.Errorf("a minute later:\n%+v\n%+v", first.Status, third.Status)
	}
}

func TestAnotherETagOfTheSameDocumentChangesTheETagOnly(t *testing.T) {
	w := newWorld(t)
	first := w.poll(w.addPeer("b", "api.shop.svc.cluster-b.local"))[0]
	w.peerOf(first).covered = `"another"`
	second := w.poll(first)[0]
	if second.Status.MetadataCache.PrivateETag == first.Status.MetadataCache.PrivateETag {
		t.Fatal("the ETag has not changed")
	}
	if third := w.poll(second)[0]; !reflect.DeepEqual(second.Status, third.Status) {
		t.Errorf("once the tag is known:\n%+v\n%+v", second.Status, third.Status)
	}
	second.Status.MetadataCache.PrivateETag = first.Status.MetadataCache.PrivateETag
	if !equality.Semantic.DeepEqual(first.Status, second.Status) {
		t.Errorf("besides the tag:\n%+v\n%+v", first.Status, second.Status)
	}
}

func TestFailuresRetainWhatWasLearnedOfAFederationPeer(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*world, v1alpha1.IstioFederation)
		reason string
		says   string
	}{
		"unreachable": {func(w *world, r v1alpha1.IstioFederation) { delete(w.peers, r.Spec.MetadataEndpoint) }, string(peer.Unreachable), "no such host"},
		"private unreachable": {func(w *world, r v1alpha1.IstioFederation) {
			w.peerOf(r).privateErr = &peer.Error{Reason: peer.Unauthorized, StatusCode: 401}
		}, string(peer.Unauthorized), "401"},
		"public is rubbish": {func(w *world, r v1alpha1.IstioFederation) { w.peerOf(r).public = []byte(`{"clusterUUID": 1}`) }, discovery.ReasonInvalidPublicMetadata, "decode"},
		"public has a broken PEM": {func(w *world, r v1alpha1.IstioFederation) {
			w.peerOf(r).public = metadata.Public{ClusterUUID: "uuid-b", RootCA: "x"}
		}, discovery.ReasonInvalidPublicMetadata, "rootCA"},
		"private is rubbish": {func(w *world, r v1alpha1.IstioFederation) {
			w.peerOf(r).private = []byte(`{"publicServices": 1, "ingressGateways": []}`)
		}, discovery.ReasonInvalidPrivateMetadata, "publicServices"},
		"private is empty": {func(w *world, r v1alpha1.IstioFederation) { w.peerOf(r).private = []byte(`{}`) }, discovery.ReasonInvalidPrivateMetadata, "no ingressGateways"},
		"another trust domain": {func(w *world, r v1alpha1.IstioFederation) {
			public := w.peerOf(r).public.(metadata.Public)
			public.TrustDomain = "cluster-c.local"
			w.peerOf(r).public = public
		}, discovery.ReasonTrustDomainMismatch, "cluster-c.local"},
		"this cluster's clusterUUID": {func(w *world, r v1alpha1.IstioFederation) {
			public := w.peerOf(r).public.(metadata.Public)
			public.ClusterUUID = self.ClusterUUID
			w.peerOf(r).public = public
		}, discovery.ReasonClusterUUIDIsOwn, "uuid-a"},
		"the clusterUUID of an older resource": {func(w *world, r v1alpha1.IstioFederation) {
			public := w.peerOf(r).public.(metadata.Public)
			public.ClusterUUID = "UUID-old"
			w.peerOf(r).public = public
		}, discovery.ReasonClusterUUIDTaken, `"old"`},
		"the clusterUUID of a younger resource": {func(w *world, r v1alpha1.IstioFederation) {
			public := w.peerOf(r).public.(metadata.Public)
			public.ClusterUUID = "uuid-young"
			w.peerOf(r).public = public
		}, discovery.ReasonClusterUUIDTaken, `"young"`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			old, b, young := w.addPeer("old", "x.y.svc.cluster-old.local"), w.addPeer("b", "api.shop.svc.cluster-b.local"), w.addPeer("young", "x.y.svc.cluster-young.local")
			old.CreationTimestamp = metav1.NewTime(start.Add(-time.Hour))
			young.CreationTimestamp = metav1.NewTime(start.Add(time.Hour))
			before := w.poll(old, b, young)
			test.change(w, b)
			w.now = w.now.Add(time.Minute)
			after := w.poll(before...)

			w.wantCondition(after[1], v1alpha1.ConditionReady, metav1.ConditionFalse, test.reason, test.says)
			was, is := before[1].Status.MetadataCache, after[1].Status.MetadataCache
			if !reflect.DeepEqual(was.Public, is.Public) || !reflect.DeepEqual(was.Private, is.Private) {
				t.Errorf("the cache changed from %+v to %+v", was, is)
			}
			if !reflect.DeepEqual(was.PrivateLastFetchTimestamp, is.PrivateLastFetchTimestamp) {
				t.Error("a failed fetch counts as a contact")
			}
			if *after[1].Status.ImportedServices != 1 {
				t.Errorf("importedServices %d", *after[1].Status.ImportedServices)
			}
			for _, index := range []int{0, 2} {
				w.wantCondition(after[index], v1alpha1.ConditionReady, metav1.ConditionTrue, discovery.ReasonJoined, "imported: 1")
			}
			again := w.poll(after...)
			if !reflect.DeepEqual(after[1].Status, again[1].Status) {
				t.Errorf("the same failure again changed the status:\n%+v\n%+v", after[1].Status, again[1].Status)
			}
		})
	}
}

func TestAPeerThatAnswersAgainIsReady(t *testing.T) {
	w := newWorld(t)
	known := w.poll(w.addPeer("b", "api.shop.svc.cluster-b.local"))[0]
	answers := w.peerOf(known)
	delete(w.peers, known.Spec.MetadataEndpoint)
	lost := w.poll(known)[0]
	w.wantCondition(lost, v1alpha1.ConditionReady, metav1.ConditionFalse, string(peer.Unreachable), "")
	w.peers[known.Spec.MetadataEndpoint] = answers
	w.wantCondition(w.poll(lost)[0], v1alpha1.ConditionReady, metav1.ConditionTrue, discovery.ReasonJoined, "")
}

func TestAServiceOfAnotherDomainIsRejectedAndReported(t *testing.T) {
	w := newWorld(t)
	b := w.poll(w.addPeer("b", "api.shop.svc.cluster-b.local", "bank.prod.svc.cluster-a.local"))[0]
	w.wantCondition(b, v1alpha1.ConditionReady, metav1.ConditionFalse, federation.ReasonForeignHostname, "bank.prod.svc.cluster-a.local")
	w.wantCondition(b, v1alpha1.ConditionServices, metav1.ConditionFalse, federation.ReasonForeignHostname, "bank.prod.svc.cluster-a.local")
	if *b.Status.ImportedServices != 1 || len(b.Status.MetadataCache.Private.PublicServices) != 1 || len(b.Status.RejectedServices) != 1 {
		t.Errorf("status %+v", b.Status)
	}
	// A service that the peer no longer publishes is not held against it.
	private := w.peerOf(b).private.(metadata.Federation)
	private.PublicServices = private.PublicServices[:1]
	w.peerOf(b).private = private
	b = w.poll(b)[0]
	w.wantCondition(b, v1alpha1.ConditionReady, metav1.ConditionTrue, discovery.ReasonJoined, "")
	if len(b.Status.RejectedServices) != 0 {
		t.Errorf("rejectedServices %v", b.Status.RejectedServices)
	}
}

func TestAnUnsupportedServiceDoesNotPreventReady(t *testing.T) {
	w := newWorld(t)
	b := w.addPeer("b")
	w.peerOf(b).private = metadata.Federation{
		IngressGateways: []metadata.IngressGateway{{Address: "192.0.2.1", Port: 15443}},
		PublicServices: []metadata.PublicService{{Hostname: "dns.kube.svc.cluster-b.local",
			Ports: []metadata.ServicePort{{Name: "dns", Port: 53, Protocol: "UDP"}}}},
	}
	b = w.poll(b)[0]
	w.wantCondition(b, v1alpha1.ConditionReady, metav1.ConditionTrue, discovery.ReasonJoined, "imported: 0")
	w.wantCondition(b, v1alpha1.ConditionServices, metav1.ConditionFalse, discovery.ReasonSomeRejected, "UDP")
}

func TestThousandsOfRejectedServicesFitIntoAStatus(t *testing.T) {
	w := newWorld(t)
	var hostnames []string
	for index := range 5000 {
		hostnames = append(hostnames, fmt.Sprintf("a%d.b.svc.cluster-a.local", index))
	}
	b := w.poll(w.addPeer("b", hostnames...))[0]
	if got := len(b.Status.RejectedServices); got != federation.MaxRejectedServices {
		t.Errorf("%d rejectedServices", got)
	}
}

func TestAPeerWithServicesAndNoGatewayIsNotReady(t *testing.T) {
	w := newWorld(t)
	b := w.addPeer("b", "api.shop.svc.cluster-b.local")
	private := w.peerOf(b).private.(metadata.Federation)
	private.IngressGateways = nil
	w.peerOf(b).private = private
	b = w.poll(b)[0]
	w.wantCondition(b, v1alpha1.ConditionReady, metav1.ConditionFalse, discovery.ReasonNoGateways, "advertise")
	if *b.Status.ImportedServices != 0 {
		t.Errorf("importedServices %d", *b.Status.ImportedServices)
	}
}

func TestImportedServicesAreCountedByTheGlobsOfTheSpec(t *testing.T) {
	w := newWorld(t)
	b := w.addPeer("b", "api.shop.svc.cluster-b.local", "db.shop.svc.cluster-b.local")
	b.Spec.Import = []string{"api.*"}
	b = w.poll(b)[0]
	w.wantCondition(b, v1alpha1.ConditionReady, metav1.ConditionTrue, discovery.ReasonJoined, "imported: 1")
	// A changed spec is looked at with the whole document.
	b.Spec.Import, b.Generation = nil, 2
	b = w.poll(b)[0]
	w.wantCondition(b, v1alpha1.ConditionReady, metav1.ConditionTrue, discovery.ReasonJoined, "imported: 2")
}

func TestAChangedTrustDomainIsPolledUnconditionally(t *testing.T) {
	w := newWorld(t)
	b := w.poll(w.addPeer("b", "api.shop.svc.cluster-b.local"))[0]
	b.Spec.TrustDomain, b.Generation = "cluster-x.local", 2
	w.requests = nil
	b = w.poll(b)[0]
	for _, request := range w.requests {
		if strings.HasSuffix(request, `"`) {
			t.Errorf("%s was asked for conditionally", request)
		}
	}
	w.wantCondition(b, v1alpha1.ConditionReady, metav1.ConditionFalse, discovery.ReasonTrustDomainMismatch, "cluster-x.local")
	if *b.Status.ImportedServices != 0 {
		t.Error("services of the old trust domain still count as imported")
	}
}

func TestWithoutAKeyOnlyThePublicDocumentIsFetched(t *testing.T) {
	w := newWorld(t)
	w.keypair.Priv = ""
	b := w.poll(w.addPeer("b"))[0]
	w.wantCondition(b, v1alpha1.ConditionPublicMetadata, metav1.ConditionTrue, discovery.ReasonFetched, "")
	w.wantCondition(b, v1alpha1.ConditionReady, metav1.ConditionFalse, discovery.ReasonOwnKeyMissing, "")
}

func TestANotModifiedAnswerToAnUnconditionalRequestIsRejected(t *testing.T) {
	w := newWorld(t)
	b := w.addPeer("b", "api.shop.svc.cluster-b.local")
	for _, path := range []string{metadata.PublicPath, metadata.FederationPath} {
		t.Run(path, func(t *testing.T) {
			lying := getterFunc(func(ctx context.Context, target peer.Target, request peer.Request) (*peer.Response, error) {
				if request.Path == path {
					return &peer.Response{NotModified: true}, nil
				}
				return w.Get(ctx, target, request)
			})
			discoverer := w.discoverer()
			discoverer.Client = lying
			if status := poll(discoverer, b)[0].Status; meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionReady) {
				t.Errorf("status %+v", status)
			}
		})
	}
}

func TestAnInvalidGatewayOfAFederationPeerIsReportedAndTheOthersAreUsed(t *testing.T) {
	w := newWorld(t)
	b := w.addPeer("b", "api.shop.svc.cluster-b.local")
	private := w.peerOf(b).private.(metadata.Federation)
	private.IngressGateways = append(private.IngressGateways, metadata.IngressGateway{Address: "0.0.0.0", Port: 1})
	w.peerOf(b).private = private
	b = w.poll(b)[0]
	w.wantCondition(b, v1alpha1.ConditionReady, metav1.ConditionTrue, discovery.ReasonJoined, "imported: 1")
	w.wantCondition(b, v1alpha1.ConditionPrivateMetadata, metav1.ConditionTrue, discovery.ReasonFetched, "0.0.0.0")
	if got := b.Status.MetadataCache.Private.IngressGateways; len(got) != 1 {
		t.Errorf("gateways %v", got)
	}
	if again := w.poll(b)[0]; !reflect.DeepEqual(b.Status, again.Status) {
		t.Errorf("an unchanged document changed the status:\n%+v\n%+v", b.Status, again.Status)
	}
}

func TestLongHostnamesInAnyScriptGiveAStableStatus(t *testing.T) {
	w := newWorld(t)
	b := w.poll(w.addPeer("b", strings.Repeat("é", 1000)+"a", "x"+strings.Repeat("é", 1000)))[0]
	encoded, err := json.Marshal(b.Status)
	if err != nil {
		t.Fatal(err)
	}
	b.Status = v1alpha1.IstioFederationStatus{}
	if err := json.Unmarshal(encoded, &b.Status); err != nil {
		t.Fatal(err)
	}
	if again := w.poll(b)[0].Status; !equality.Semantic.DeepEqual(b.Status, again) {
		t.Errorf("after a round trip through the API server:\n%+v\n%+v", b.Status, again)
	}
}

func TestRejectedServicesAreReportedUnchangedWhileThePeerIsUnreachable(t *testing.T) {
	w := newWorld(t)
	var hostnames []string
	for index := range 500 {
		hostnames = append(hostnames, fmt.Sprintf("a%d.b.svc.cluster-a.local", index))
	}
	b := w.poll(w.addPeer("b", hostnames...))[0]
	before := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionServices).Message
	delete(w.peers, b.Spec.MetadataEndpoint)
	b = w.poll(b)[0]
	if now := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionServices).Message; now != before {
		t.Errorf("%q became %q", before, now)
	}
}
