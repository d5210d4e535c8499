package watcher_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kubetesting "k8s.io/client-go/testing"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/watcher"
	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

func TestAMulticlusterPeerIsPolledForItsOwnDocumentAndItsChangesAreReported(t *testing.T) {
	b := newFakePeer()
	b.etags[metadata.MulticlusterPath] = `"m1"`
	resource := federation("uuid-b", "")
	resource.SetKind(v1alpha1.IstioMulticlusterKind)
	// The federation of the same name is none of this watcher's business.
	client := newClientOf(resource, federation("uuid-b", ""), configMapOf(watcher.Multiclusters, nil))

	metrics := watcher.NewMetrics()
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	watch := &watcher.Watcher{
		Kind: watcher.Multiclusters, Client: client, Namespace: v1alpha1.Namespace, Peers: b, Metrics: metrics, Log: slog.New(slog.DiscardHandler), Timing: quick(),
		Token: func(clusterUUID, scope string) (string, error) { return scope + " for " + clusterUUID, nil },
	}
	go func() { stopped <- watch.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-stopped; err != nil {
			t.Errorf("Run() = %v", err)
		}
	})

	peerstest.Await(t, func() string {
		object, err := client.Resource(configMaps).Namespace(v1alpha1.Namespace).Get(ctx, "multicluster-revisions", metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if value, _, _ := unstructured.NestedString(object.Object, "data", "b"); !watchesPrivate(value) {
			return "written is " + value
		}
		return ""
	})
	b.waitHeld(t, endpoint, metadata.MulticlusterPath, 1)
	for _, request := range b.asked(metadata.MulticlusterPath) {
		if request.Token != authn.ScopePrivateMulticluster+" for uuid-b" {
			t.Errorf("asked with the token %q", request.Token)
		}
	}
	if asked := b.asked(metadata.FederationPath); len(asked) > 0 {
		t.Errorf("asked for the other kind's document: %+v", asked)
	}
	if got := testutil.ToFloat64(metrics.PeerConnected.WithLabelValues("IstioMulticluster/b", metadata.MulticlusterPath)); got != 1 {
		t.Errorf("the metric of the peer says %v", got)
	}
	for _, action := range client.Actions() {
		patch, ok := action.(kubetesting.PatchAction)
		if ok && (patch.GetResource() != configMaps || patch.GetName() != "multicluster-revisions") {
			t.Errorf("wrote %s %s", patch.GetResource(), patch.GetName())
		}
	}
}
