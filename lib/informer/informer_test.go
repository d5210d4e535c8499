package informer_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"

	"github.com/deckhouse-mesh/istio/lib/informer"
	"github.com/deckhouse-mesh/istio/test/support/awaittest"
	"github.com/deckhouse-mesh/istio/test/support/logtest"
)

func named(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", Annotations: map[string]string{"note": "long"}}}
}

func TestAnInformerReportsItsFailureUntilItIsSynced(t *testing.T) {
	client := fake.NewClientset(named("one"))
	var lists atomic.Int32
	client.PrependReactor("list", "*", func(kubetesting.Action) (bool, runtime.Object, error) {
		if lists.Add(1) < 3 {
			return true, nil, errors.New("forbidden by RBAC")
		}
		return false, nil, nil
	})
	var logs logtest.Buffer
	changed := informer.NewSignal()
	watched, err := informer.New(informer.Source[*corev1.ConfigMapList]{
		Reader: client.CoreV1().ConfigMaps("default"), Client: client, Example: &corev1.ConfigMap{}, Name: "ConfigMaps",
		Strip: informer.StripMetadata,
	}, slog.New(slog.NewTextHandler(&logs, nil)), informer.OnEvery(changed.Set))
	if err != nil {
		t.Fatal(err)
	}
	if err := watched.Ready(); err == nil || !strings.Contains(err.Error(), "waiting for the first list of ConfigMaps") {
		t.Errorf("Ready() = %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		watched.RunWithContext(ctx)
	}()
	awaittest.Holds(t, 10*time.Second, "", func() string {
		if err := watched.Ready(); err != nil {
			if strings.Contains(logs.String(), "list or watch failed") && !strings.Contains(err.Error(), "forbidden by RBAC") {
				t.Errorf("Ready() = %v", err)
			}
			return err.Error()
		}
		return ""
	})
	if !watched.Synced() || !strings.Contains(logs.String(), "the last known state stays in force") {
		t.Errorf("Synced() = %t, logs:\n%s", watched.Synced(), logs.String())
	}
	<-changed
	for _, object := range watched.GetStore().List() {
		if found := object.(*corev1.ConfigMap); found.Name != "one" || len(found.Annotations) > 0 {
			t.Errorf("stored %+v", found)
		}
	}
	cancel()
	<-ended
}

func TestASignalIsSetOnceForAnyNumberOfEvents(t *testing.T) {
	signal := informer.NewSignal()
	for range 3 {
		signal.Set()
	}
	<-signal
	select {
	case <-signal:
		t.Error("it is set twice")
	default:
	}
}

func TestStrippingLeavesItsOwnResultsAsTheyAre(t *testing.T) {
	strip := informer.Stripping(func(object *corev1.ConfigMap) (any, error) { return object.Name, nil })
	once, err := strip(named("one"))
	if err != nil || once != "one" {
		t.Fatalf("strip() = %v, %v", once, err)
	}
	if twice, err := strip(once); err != nil || twice != "one" {
		t.Errorf("strip() of its result = %v, %v", twice, err)
	}
}

func TestLastSeenIsTheObjectOfAMissedDeletion(t *testing.T) {
	object := named("one")
	for _, deleted := range []any{object, cache.DeletedFinalStateUnknown{Key: "default/one", Obj: object}} {
		if got := informer.LastSeen(deleted); got != any(object) {
			t.Errorf("LastSeen(%T) = %v", deleted, got)
		}
	}
}
