package discovery_test

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/discovery"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

func TestAPeerThatChangesItsAPIWithEveryAnswerIsFollowedSeldom(t *testing.T) {
	m := newMesh(t)
	b := m.poll(m.addPeer("b"))[0]
	followed := map[string]bool{b.Status.MetadataCache.Private.APIHost: true}
	hosts := []string{"api-b.example.com", "api-x.example.com"}
	m.answers["https://api-x.example.com/version"] = map[string]string{"gitVersion": "v1.34.3"}
	changes, last := 0, b.Status.MetadataCache.Private.APIHost
	for second := range 60 {
		m.now = start.Add(time.Duration(second+1) * time.Second)
		change(m, m.url("b", metadata.MulticlusterPath), func(p *metadata.Multicluster) { p.APIHost = hosts[(second+1)%2] })
		b = m.poll(b)[0]
		if now := b.Status.MetadataCache.Private.APIHost; now != last {
			changes, last = changes+1, now
			followed[now] = true
		}
	}
	if changes != 4 || len(followed) != 2 {
		t.Errorf("%d changes in a minute were followed, want 4", changes)
	}
	// The last answer may be the one that is in force.
	change(m, m.url("b", metadata.MulticlusterPath), func(p *metadata.Multicluster) {
		p.APIHost = strings.Replace("api-b.example.com api-x.example.com", last, "", 1)
		p.APIHost = strings.TrimSpace(p.APIHost)
	})
	b = m.poll(b)[0]
	m.wantCondition(b, v1alpha1.ConditionReady, metav1.ConditionFalse, discovery.ReasonIdentityChangesTooOften, "the next change is accepted from")
	m.now = start.Add(10 * time.Minute)
	if b = m.poll(b)[0]; b.Status.MetadataCache.Private.APIHost == last || !meta.IsStatusConditionTrue(b.Status.Conditions, v1alpha1.ConditionReady) {
		t.Errorf("after ten minutes: %+v", b.Status.Conditions)
	}
}

func TestConditionsHaveTheNamesOfDeckhousesOwnModuleToo(t *testing.T) {
	w := newWorld(t)
	b := w.poll(w.addPeer("b"))[0]
	w.wantCondition(b, v1alpha1.ConditionPublicExchange, metav1.ConditionTrue, discovery.ReasonFetched, "")
	w.wantCondition(b, v1alpha1.ConditionPrivateExchange, metav1.ConditionTrue, discovery.ReasonFetched, "")
	w.peerOf(b).public = metadata.Public{}
	w.now = w.now.Add(time.Minute)
	b = w.poll(b)[0]
	w.wantCondition(b, v1alpha1.ConditionPublicExchange, metav1.ConditionFalse, discovery.ReasonInvalidPublicMetadata, "")
}

func TestAnAPIHostOfThisClusterIsRejected(t *testing.T) {
	for _, host := range []string{"localhost:9650", "127.0.0.1", "kubernetes.default.svc", "istiod-v1x31.d8-istio.svc." + self.TrustDomain + ":15012"} {
		m := newMesh(t)
		resource := m.addPeer("b")
		change(m, m.url("b", metadata.MulticlusterPath), func(p *metadata.Multicluster) { p.APIHost = host })
		b := m.poll(resource)[0]
		m.wantCondition(b, v1alpha1.ConditionReady, metav1.ConditionFalse, discovery.ReasonInvalidPrivateMetadata, "apiHost")
		if b.Status.MetadataCache.Private != nil {
			t.Errorf("%s is in the cache", host)
		}
		if len(m.tokens) > 2 {
			t.Errorf("%s was asked with a token of this cluster: %v", host, m.tokens)
		}
	}
}

func TestATrustDomainAmongTheNamesOfOwnServicesIsRejected(t *testing.T) {
	for _, domain := range []string{"svc." + self.TrustDomain, "x.svc." + self.TrustDomain} {
		w := newWorld(t)
		peer := w.addPeer("b")
		peer.Spec.TrustDomain = domain
		peer = w.poll(peer)[0]
		w.wantCondition(peer, v1alpha1.ConditionAccepted, metav1.ConditionFalse, discovery.ReasonTrustDomainIsOwn, "this cluster's own Services")
	}
}
