package discovery_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/discovery"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

func TestAFederationWithThisClustersDomainIsRejectedWithoutPolling(t *testing.T) {
	w := newWorld(t)
	mirror := w.addPeer("b")
	mirror.Spec.TrustDomain = self.TrustDomain
	mirror = w.poll(mirror)[0]
	w.wantCondition(mirror, v1alpha1.ConditionAccepted, metav1.ConditionFalse, discovery.ReasonTrustDomainIsOwn, "cluster-a.local")
	w.wantCondition(mirror, v1alpha1.ConditionReady, metav1.ConditionFalse, discovery.ReasonTrustDomainIsOwn, "IstioMulticluster")
	if len(w.requests) > 0 {
		t.Errorf("asked %v", w.requests)
	}
}

func TestOfTwoFederationsWithOneDomainTheOlderIsAccepted(t *testing.T) {
	for name, order := range map[string][]int{"listed in order of age": {0, 1}, "listed the other way round": {1, 0}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			older, younger := w.addPeer("z", "api.shop.svc.cluster-z.local"), w.addPeer("b")
			younger.Spec.TrustDomain = older.Spec.TrustDomain
			younger.CreationTimestamp = metav1.NewTime(start.Add(time.Second))
			both := []v1alpha1.IstioFederation{older, younger}
			polled := w.poll(both[order[0]], both[order[1]])
			w.wantCondition(polled[order[0]], v1alpha1.ConditionReady, metav1.ConditionTrue, discovery.ReasonJoined, "")
			w.wantCondition(polled[order[1]], v1alpha1.ConditionReady, metav1.ConditionFalse, discovery.ReasonTrustDomainTaken, `"z"`)

			found := accepted(polled)
			if len(found) != 1 || found[0].Name != "z" {
				t.Errorf("accepted %v", found)
			}
		})
	}
}

func TestOfTwoNewFederationsWithOneClusterUUIDTheOlderIsAccepted(t *testing.T) {
	w := newWorld(t)
	older, younger := w.addPeer("z"), w.addPeer("b")
	younger.CreationTimestamp = metav1.NewTime(start.Add(time.Second))
	public := w.peerOf(older).public.(metadata.Public)
	public.TrustDomain = "" // as Deckhouse's own module sends it
	w.peerOf(older).public, w.peerOf(younger).public = public, public
	polled := w.poll(younger, older)
	w.wantCondition(polled[1], v1alpha1.ConditionReady, metav1.ConditionTrue, discovery.ReasonJoined, "")
	w.wantCondition(polled[0], v1alpha1.ConditionReady, metav1.ConditionFalse, discovery.ReasonClusterUUIDTaken, `"z"`)
	if found := accepted(polled); len(found) != 1 || found[0].Name != "z" {
		t.Errorf("accepted %v", found)
	}
}

func TestAFederationWithACorruptStatusIsNotAccepted(t *testing.T) {
	w := newWorld(t)
	polled := w.poll(w.addPeer("b"), w.addPeer("c"), w.addPeer("d"))
	polled[0].Status.MetadataCache.Public = nil
	own := *polled[1].Status.MetadataCache.Public
	own.ClusterUUID = self.ClusterUUID
	polled[1].Status.MetadataCache.Public = &own
	if found := accepted(polled); len(found) != 1 || found[0].Name != "d" {
		t.Errorf("accepted %v", found)
	}
}

func TestAnIdentityLearnedUnderAnotherTrustDomainIsNotAccepted(t *testing.T) {
	w := newWorld(t)
	b := w.poll(w.addPeer("b", "api.shop.svc.cluster-b.local"))[0]
	if len(accepted([]v1alpha1.IstioFederation{b})) != 1 {
		t.Fatal("the peer is not accepted to begin with")
	}
	b.Spec.TrustDomain, b.Generation = "cluster-c.local", 2
	if found := accepted([]v1alpha1.IstioFederation{b}); len(found) > 0 {
		t.Errorf("the root of cluster-b.local is trusted for %s", found[0].Spec.TrustDomain)
	}
	// The peer cannot be reached: it stays that way.
	delete(w.peers, b.Spec.MetadataEndpoint)
	b = w.poll(b)[0]
	if found := accepted([]v1alpha1.IstioFederation{b}); len(found) > 0 {
		t.Errorf("accepted %v", found)
	}
}
