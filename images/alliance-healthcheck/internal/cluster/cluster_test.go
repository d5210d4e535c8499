package cluster_test

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic/fake"

	"github.com/deckhouse-mesh/istio/images/alliance-healthcheck/internal/cluster"
	"github.com/deckhouse-mesh/istio/lib/healthcheck"
	"github.com/deckhouse-mesh/istio/test/support/awaittest"
)

const namespace = "d8-istio"

func configMap(name string, data map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"namespace": namespace, "name": name}, "data": data,
	}}
}

func encoded(t *testing.T, at time.Time) string {
	t.Helper()
	text, err := healthcheck.Report{Time: at}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestAReportIsWrittenUnderThePodsNameAndAbandonedOnesAreRemoved(t *testing.T) {
	now := time.Date(2030, 11, 22, 12, 0, 0, 0, time.UTC)
	client := fake.NewSimpleDynamicClient(runtime.NewScheme(), configMap(healthcheck.ReportsConfigMap, map[string]any{
		"running": encoded(t, now.Add(-time.Minute)), "gone": encoded(t, now.Add(-time.Hour)), "broken": "{",
	}))
	reports := cluster.Reports{ConfigMaps: cluster.ConfigMaps(client, namespace), Pod: "mine"}
	for range 2 { // the answer to a write shows what the next one removes
		if err := reports.Write(t.Context(), healthcheck.Report{Time: now}); err != nil {
			t.Fatal(err)
		}
	}
	written, err := cluster.ConfigMaps(client, namespace).Get(t.Context(), healthcheck.ReportsConfigMap, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	data, _, _ := unstructured.NestedStringMap(written.Object, "data")
	if got := slices.Sorted(maps.Keys(data)); !slices.Equal(got, []string{"mine", "running"}) || data["mine"] != encoded(t, now) {
		t.Errorf("the ConfigMap has %v", data)
	}
}

func TestTheListOfPeersIsFollowed(t *testing.T) {
	client := fake.NewSimpleDynamicClient(runtime.NewScheme(), configMap(healthcheck.TargetsConfigMap, map[string]any{healthcheck.TargetsKey: "[1]"}))
	configMaps := cluster.ConfigMaps(client, namespace)
	lists := make(chan string, 10)
	watch, err := cluster.WatchTargets(client, namespace, func(content string) error { lists <- content; return nil }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); watch.RunWithContext(ctx) }()
	if got := <-lists; got != "[1]" {
		t.Errorf("the first list is %q", got)
	}
	awaittest.Holds(t, 10*time.Second, "the new list is taken over", func() string {
		if _, err := configMaps.Update(t.Context(), configMap(healthcheck.TargetsConfigMap, map[string]any{healthcheck.TargetsKey: "[2]"}), metav1.UpdateOptions{}); err != nil {
			return err.Error()
		}
		if got := <-lists; got != "[2]" {
			return got
		}
		return ""
	})
	stop()
	<-ended
}
