package discovery_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/discovery"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/peer"
)

func always(v1alpha1.Peer) bool { return true }

// poll polls all peers and returns the resources with their new status.
func poll[T any, P interface {
	*T
	v1alpha1.Peer
}](discoverer discovery.Discoverer, resources ...T) []T {
	peers := v1alpha1.Peers[T, P](resources)
	updated := discoverer.Poll(context.Background(), peers, always, nil)
	polled := make([]T, len(peers))
	for index, resource := range peers {
		polled[index] = *updated[resource.GetName()].(P)
	}
	return polled
}

// accepted returns those of the resources that are accepted.
func accepted[T any, P interface {
	*T
	v1alpha1.Peer
}](resources []T, elsewhere ...discovery.Claim) []T {
	var found []T
	for _, resource := range discovery.Accepted(self, v1alpha1.Peers[T, P](resources), elsewhere...) {
		found = append(found, *resource.(P))
	}
	return found
}

func wantCondition(tb testing.TB, resource v1alpha1.Peer, conditionType string, status metav1.ConditionStatus, reason, inMessage string) {
	tb.Helper()
	condition := meta.FindStatusCondition(resource.PeerStatus().Conditions, conditionType)
	if condition == nil || condition.Status != status || condition.Reason != reason || !strings.Contains(condition.Message, inMessage) {
		tb.Errorf("%s of %q is %+v, want %s %s with %q", conditionType, resource.GetName(), condition, status, reason, inMessage)
	}
}

// twoPeers are the peers b and c of both kinds, each kind with a discoverer that reaches them.
func twoPeers(t *testing.T) map[string]struct {
	discovery.Discoverer
	peers []v1alpha1.Peer
} {
	t.Helper()
	w, m := newWorld(t), newMesh(t)
	return map[string]struct {
		discovery.Discoverer
		peers []v1alpha1.Peer
	}{
		v1alpha1.IstioFederationKind:   {w.discoverer(), v1alpha1.Peers([]v1alpha1.IstioFederation{w.addPeer("b"), w.addPeer("c")})},
		v1alpha1.IstioMulticlusterKind: {m.discoverer(), v1alpha1.Peers([]v1alpha1.IstioMulticluster{m.addPeer("b"), m.addPeer("c")})},
	}
}

func TestOnlyPeersThatAreDueArePolled(t *testing.T) {
	for kind, given := range twoPeers(t) {
		t.Run(kind, func(t *testing.T) {
			var waited []string
			updated := given.Poll(context.Background(), given.peers,
				func(resource v1alpha1.Peer) bool { return resource.GetName() == "c" },
				func(resource v1alpha1.Peer, duration time.Duration) {
					waited = append(waited, fmt.Sprint(resource.GetName(), duration > 0))
				})
			if len(updated) != 2 || updated["b"] != given.peers[0] || len(updated["c"].PeerStatus().Conditions) == 0 {
				t.Errorf("updated: %+v", updated)
			}
			if fmt.Sprint(waited) != "[ctrue]" {
				t.Errorf("waited for %v", waited)
			}
			if len(given.peers[1].PeerStatus().Conditions) != 0 {
				t.Error("the resource given has changed")
			}
		})
	}
}

// absent answers nothing, and notes how long it would have been waited for.
type absent struct {
	mu      sync.Mutex
	longest time.Duration
}

func (a *absent) Get(ctx context.Context, target peer.Target, _ peer.Request) (*peer.Response, error) {
	deadline, _ := ctx.Deadline()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.longest = max(a.longest, time.Until(deadline))
	return nil, &peer.Error{Reason: peer.Unreachable, URL: target.URL, Err: context.DeadlineExceeded}
}

// TestAPeerThatDidNotAnswerGetsLessTimeUntilItAnswers: else one that takes two seconds would never be reached again.
func TestAPeerThatDidNotAnswerGetsLessTimeUntilItAnswers(t *testing.T) {
	for kind, given := range twoPeers(t) {
		t.Run(kind, func(t *testing.T) {
			resources := given.peers[:1]
			poll := func(answers func(v1alpha1.Peer) bool) time.Duration {
				client := &absent{}
				given.Client, given.Answers = client, answers
				resources = []v1alpha1.Peer{given.Poll(context.Background(), resources, always, nil)["b"]}
				return client.longest
			}
			if first := poll(nil); first <= time.Second {
				t.Errorf("the first time it has %s", first)
			}
			for name, answers := range map[string]func(v1alpha1.Peer) bool{"nobody": nil, "it": func(v1alpha1.Peer) bool { return false }} {
				if next := poll(answers); next > time.Second {
					t.Errorf("where %s answers metadata-watcher, it has %s the next time", name, next)
				}
			}
			if after := poll(func(resource v1alpha1.Peer) bool { return resource.GetName() == "b" }); after <= time.Second {
				t.Errorf("once it has answered metadata-watcher it has %s", after)
			}
		})
	}
}

// panicking panics over one document of peer b.
type panicking struct {
	discovery.Getter
	document string
}

func (p panicking) Get(ctx context.Context, target peer.Target, request peer.Request) (*peer.Response, error) {
	if request.Path == p.document && (strings.HasPrefix(target.URL, "https://b.") || strings.HasPrefix(target.URL, "https://api-b.")) {
		panic("boom")
	}
	return p.Getter.Get(ctx, target, request)
}

func TestAPanicIsReportedForItsDocumentAndItsPeerAlone(t *testing.T) {
	for _, test := range []struct {
		kind, document string
		failed         string
		fetched        []string
	}{
		{v1alpha1.IstioFederationKind, metadata.PublicPath, v1alpha1.ConditionPublicMetadata, nil},
		{v1alpha1.IstioFederationKind, metadata.FederationPath, v1alpha1.ConditionPrivateMetadata, []string{v1alpha1.ConditionPublicMetadata}},
		{v1alpha1.IstioMulticlusterKind, metadata.PublicPath, v1alpha1.ConditionPublicMetadata, nil},
		{v1alpha1.IstioMulticlusterKind, metadata.MulticlusterPath, v1alpha1.ConditionPrivateMetadata, []string{v1alpha1.ConditionPublicMetadata}},
		{v1alpha1.IstioMulticlusterKind, "version", v1alpha1.ConditionAPI, []string{v1alpha1.ConditionPublicMetadata, v1alpha1.ConditionPrivateMetadata}},
	} {
		t.Run(test.kind+" "+test.document, func(t *testing.T) {
			given := twoPeers(t)[test.kind]
			given.Client = panicking{given.Client, test.document}
			updated := given.Poll(context.Background(), given.peers, always, nil)
			for _, condition := range []string{test.failed, v1alpha1.ConditionReady} {
				wantCondition(t, updated["b"], condition, metav1.ConditionFalse, discovery.ReasonInternalError, "boom")
			}
			for _, condition := range test.fetched {
				wantCondition(t, updated["b"], condition, metav1.ConditionTrue, discovery.ReasonFetched, "")
			}
			wantCondition(t, updated["c"], v1alpha1.ConditionReady, metav1.ConditionTrue, discovery.ReasonJoined, "")
		})
	}
}

func TestAPanicOverAKnownPeerRetainsWhatWasLearned(t *testing.T) {
	for kind, document := range map[string]string{v1alpha1.IstioFederationKind: metadata.FederationPath, v1alpha1.IstioMulticlusterKind: metadata.MulticlusterPath} {
		t.Run(kind, func(t *testing.T) {
			given := twoPeers(t)[kind]
			known := given.Poll(context.Background(), given.peers, always, nil)["b"]
			given.Client = panicking{given.Client, document}
			after := given.Poll(context.Background(), []v1alpha1.Peer{known}, always, nil)["b"]
			wantCondition(t, after, v1alpha1.ConditionReady, metav1.ConditionFalse, discovery.ReasonInternalError, "boom")
			if fmt.Sprintf("%+v", *after.PeerCache()) != fmt.Sprintf("%+v", *known.PeerCache()) {
				t.Errorf("the cache changed from %+v to %+v", *known.PeerCache(), *after.PeerCache())
			}
		})
	}
}
