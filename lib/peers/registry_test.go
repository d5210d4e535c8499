package peers_test

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/peers"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

func closed(channel <-chan struct{}) bool {
	select {
	case <-channel:
		return true
	default:
		return false
	}
}

func newRegistry() *peers.Registry { return peers.NewRegistry(federationKind, multiclusterKind) }

func TestPeersAreTheEntriesWithAUsableKey(t *testing.T) {
	b, c, d := peerstest.NewPeer(t, "b"), peerstest.NewPeer(t, "c"), peerstest.NewPeer(t, "d")
	broken, nameless := d.Entry(federationKind), d.Entry(federationKind)
	broken.AuthnKeyPub = "no key"
	entries := map[string]peers.Entry{b.UUID: b.Entry(federationKind), c.UUID: c.Entry(multiclusterKind), d.UUID: broken, "": nameless}
	registry := newRegistry()
	registry.SetExisting(peerstest.Existing(entries))
	before := registry.Current()
	changed, err := registry.SetAccepted(peerstest.JSON(t, entries))
	if !changed || !closed(before.Changed()) {
		t.Error("no change was reported")
	}
	if err == nil || !strings.Contains(err.Error(), `IstioFederation "d" (cluster uuid-d) is left out`) ||
		!strings.Contains(err.Error(), "it has no clusterUUID") || strings.Contains(err.Error(), "uuid-b") {
		t.Errorf("err = %v", err)
	}
	now := registry.Current()
	if now.Len() != 2 {
		t.Errorf("%d peers", now.Len())
	}
	if got := now.Lookup(c.UUID); got == nil || got.Kind != multiclusterKind || got.ClusterUUID != c.UUID || !got.Key.Equal(c.Private.Public()) {
		t.Errorf("Lookup() = %+v", got)
	}
	if now.Lookup(d.UUID) != nil || now.Lookup("") != nil {
		t.Error("an unusable entry is a peer")
	}
}

func TestAnEntryWithoutUsableRootsIsReportedAndNeedsAToken(t *testing.T) {
	b := peerstest.NewPeer(t, "b")
	for name, rootCA := range map[string]string{
		"no root":          "",
		"a key as root":    b.Keys.Pub,
		"text for a root":  "root",
		"a broken root":    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"a root and a key": b.Root.PEM() + b.Keys.Pub,
	} {
		t.Run(name, func(t *testing.T) {
			entry := b.Entry(federationKind)
			entry.RootCA = rootCA
			byUUID, err := peers.Parse(peerstest.JSON(t, map[string]peers.Entry{b.UUID: entry}))
			if err == nil || !strings.Contains(err.Error(), "needs a token") {
				t.Errorf("err = %v", err)
			}
			if got := byUUID[b.UUID]; got == nil || !got.Key.Equal(b.Private.Public()) || len(got.Roots) != 0 {
				t.Errorf("parsed %+v", got)
			}
		})
	}
}

func TestOnlyAnotherContentIsAChange(t *testing.T) {
	b, rotated := peerstest.NewPeer(t, "b"), peerstest.NewPeer(t, "b")
	contentOf := func(of peerstest.Peer, kind string) string {
		return string(peerstest.JSON(t, map[string]peers.Entry{b.UUID: of.Entry(kind)}))
	}
	first := contentOf(b, federationKind)
	anotherKey, anotherRoot := b, b
	anotherKey.Keys, anotherRoot.Root = rotated.Keys, rotated.Root
	for name, test := range map[string]struct {
		content       string
		want, wantErr bool
	}{
		"the same":                      {content: first},
		"the same in another format":    {content: " " + first},
		"another key":                   {content: contentOf(anotherKey, federationKind), want: true},
		"another root":                  {content: contentOf(anotherRoot, federationKind), want: true},
		"another kind":                  {content: contentOf(b, multiclusterKind), want: true},
		"no peer":                       {content: `{}`, want: true},
		"no content":                    {content: ``, want: true},
		"invalid JSON changes nothing":  {content: `[`, wantErr: true},
		"another form changes nothing":  {content: `["uuid-b"]`, wantErr: true},
		"text, which changes nothing":   {content: `rubbish`, wantErr: true},
		"null, which accepts no peers":  {content: `null`, want: true},
		"a peer that is null is no one": {content: `{"uuid-b":null}`, want: true, wantErr: true},
	} {
		t.Run(name, func(t *testing.T) {
			registry := newRegistry()
			registry.SetExisting(peers.ExistingOf(b.Resource(federationKind), b.Resource(multiclusterKind)))
			if _, err := registry.SetAccepted([]byte(first)); err != nil {
				t.Fatal(err)
			}
			before := registry.Current()
			got, err := registry.SetAccepted([]byte(test.content))
			if got != test.want || closed(before.Changed()) != test.want || (err != nil) != test.wantErr {
				t.Errorf("SetAccepted() = %v, %v; channel closed: %v", got, err, closed(before.Changed()))
			}
			if !test.want && registry.Current().Lookup(b.UUID) == nil {
				t.Error("the peer is missing")
			}
		})
	}
}

func TestAPeerHasRightsWhileItsVeryResourceExists(t *testing.T) {
	b, c := peerstest.NewPeer(t, "b"), peerstest.NewPeer(t, "c")
	ofB, ofC := b.Resource(federationKind), c.Resource(federationKind)
	successor := ofB
	successor.UID = "another"
	leaf, err := x509.ParseCertificate(b.Client(t).Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	withoutUID := b.Entry(federationKind)
	withoutUID.ResourceUID = ""
	for name, test := range map[string]struct {
		entry    peers.Entry
		existing peers.Existing
		want     bool
	}{
		"it exists":                                {b.Entry(federationKind), peers.ExistingOf(ofB, ofC), true},
		"it was deleted":                           {b.Entry(federationKind), peers.ExistingOf(ofC), false},
		"another one has its name":                 {b.Entry(federationKind), peers.ExistingOf(successor, ofC), false},
		"one of the other kind has its name":       {b.Entry(federationKind), peers.ExistingOf(b.Resource(multiclusterKind), ofC), false},
		"an entry without UID, and it exists":      {withoutUID, peers.ExistingOf(successor, ofC), true},
		"an entry without UID, and it was deleted": {withoutUID, peers.ExistingOf(ofC), false},
	} {
		t.Run(name, func(t *testing.T) {
			content := peerstest.JSON(t, map[string]peers.Entry{b.UUID: test.entry, c.UUID: c.Entry(federationKind)})
			for order, registry := range map[string]*peers.Registry{"accepted first": newRegistry(), "existing first": newRegistry()} {
				if order == "existing first" {
					registry.SetExisting(test.existing)
				}
				if _, err := registry.SetAccepted(content); err != nil {
					t.Fatal(err)
				}
				if order == "accepted first" {
					if registry.Current().Len() != 0 {
						t.Errorf("%d peers before the existing resources are known", registry.Current().Len())
					}
					registry.SetExisting(test.existing)
				}
				now := registry.Current()
				if found := now.Lookup(b.UUID); (found != nil) != test.want || found != nil && !found.Key.Equal(b.Private.Public()) {
					t.Errorf("%s: Lookup() = %+v", order, found)
				}
				if _, err := now.AllowedAnchors(federationKind).Verify([]*x509.Certificate{leaf}, time.Now()); (err == nil) != test.want {
					t.Errorf("%s: its certificate among those with rights: %v", order, err)
				}
				if _, err := now.Anchors().Verify([]*x509.Certificate{leaf}, time.Now()); err != nil {
					t.Errorf("%s: its certificate among all accepted: %v", order, err)
				}
				if deleted := now.Deleted(); (len(deleted) == 0) != test.want || len(deleted) > 1 {
					t.Errorf("%s: deleted are %v", order, deleted)
				}
				if now.Lookup(c.UUID) == nil {
					t.Errorf("%s: the other peer is missing", order)
				}
			}
		})
	}
}

func TestPeersOfOtherKindsOnlyOwnTheirRoots(t *testing.T) {
	federated, multicluster := peerstest.NewPeer(t, "f"), peerstest.NewPeer(t, "m")
	registry := peers.NewRegistry(multiclusterKind)
	peerstest.Accept(t, registry, map[string]peers.Entry{
		federated.UUID: federated.Entry(federationKind), multicluster.UUID: multicluster.Entry(multiclusterKind),
	})
	now := registry.Current()
	if now.Len() != 1 || now.Lookup(federated.UUID) != nil || len(now.Deleted()) != 0 {
		t.Errorf("%d peers, the federated one: %+v, deleted %v", now.Len(), now.Lookup(federated.UUID), now.Deleted())
	}
	leaf, err := x509.ParseCertificate(federated.Client(t).Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	if caller, err := now.Anchors().Verify([]*x509.Certificate{leaf}, time.Now()); err != nil || !slices.Equal(caller.Owners, []string{federated.UUID}) {
		t.Errorf("Verify() = %v, %v", caller.Owners, err)
	}
}

func TestAChangeOfTheExistingResourcesIsReportedWhereItConcernsPeers(t *testing.T) {
	b := peerstest.NewPeer(t, "b")
	resource, other := b.Resource(federationKind), federation("other", "other")
	successor := resource
	successor.UID = "another"
	for name, test := range map[string]struct {
		existing peers.Existing
		want     bool
	}{
		"the same":                             {peers.ExistingOf(resource), false},
		"a resource without a peer is created": {peers.ExistingOf(resource, other), false},
		"the peer's resource is deleted":       {peers.Existing{}, true},
		"it is deleted and another created":    {peers.ExistingOf(other), true},
		"it has a successor":                   {peers.ExistingOf(successor), true},
	} {
		t.Run(name, func(t *testing.T) {
			registry := newRegistry()
			peerstest.Accept(t, registry, peerstest.Entries(federationKind, b))
			before := registry.Current()
			if got := registry.SetExisting(test.existing); got != test.want || closed(before.Changed()) != test.want {
				t.Errorf("SetExisting() = %t; channel closed: %t", got, closed(before.Changed()))
			}
			if registry.SetExisting(test.existing) {
				t.Error("the same set again is a change")
			}
			registry.SetExisting(peers.ExistingOf(resource))
			if registry.Current().Lookup(b.UUID) == nil {
				t.Error("the peer does not come back with its resource")
			}
		})
	}
}

func TestInvalidContentLeavesTheDeletionOfAResourceInForce(t *testing.T) {
	b := peerstest.NewPeer(t, "b")
	registry := newRegistry()
	peerstest.Accept(t, registry, peerstest.Entries(federationKind, b))
	if _, err := registry.SetAccepted([]byte("[")); err == nil || registry.Current().Len() != 1 {
		t.Fatalf("invalid content: %v, %d peers", err, registry.Current().Len())
	}
	if registry.SetExisting(peers.Existing{}); registry.Current().Len() != 0 {
		t.Errorf("%d peers without a resource", registry.Current().Len())
	}
}
