package watcher

import (
	"log/slog"
	"reflect"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/deckhouse-mesh/istio/lib/informer"
)

func TestAKeyWithoutAResourceStaysForAWhile(t *testing.T) {
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := newWriter(&Watcher{Timing: DefaultTiming()})
	for _, step := range []struct {
		name     string
		after    time.Duration
		orphans  []string
		wantDue  []string
		wantNext time.Duration
	}{
		{"nothing is without a resource", 0, nil, nil, 0},
		{"a resource was deleted, or not seen yet", 0, []string{"a"}, nil, 60 * time.Second},
		{"a second one", 20 * time.Second, []string{"a", "b"}, nil, 40 * time.Second},
		{"the first one's time has passed", 60 * time.Second, []string{"a", "b"}, []string{"a"}, 20 * time.Second},
		{"the second resource is seen", 61 * time.Second, []string{"a"}, []string{"a"}, 0},
		{"and is deleted again", 80 * time.Second, []string{"b"}, nil, 60 * time.Second},
		{"its time has passed, counted from the deletion", 140 * time.Second, []string{"b"}, []string{"b"}, 0},
	} {
		due, next := s.prunable(step.orphans, began.Add(step.after))
		if !reflect.DeepEqual(due, step.wantDue) || next != step.wantNext {
			t.Errorf("%s: due %v, next after %v; want %v, %v", step.name, due, next, step.wantDue, step.wantNext)
		}
	}
}

func TestEventsThatMayLeaveAnOrphanWakeTheWriter(t *testing.T) {
	for name, happens := range map[string]func(*Watcher){
		"a resource was deleted": func(w *Watcher) {
			w.forget(&resource{Meta: informer.Meta{NamespacedName: types.NamespacedName{Name: "b"}}})
		},
		"another value is written": func(w *Watcher) { w.configMapChanged(&configMap{written: map[string]string{"b": "x.y", "c": "x.y"}}) },
	} {
		t.Run(name, func(t *testing.T) {
			w := &Watcher{
				Metrics: NewMetrics(), Log: slog.New(slog.DiscardHandler), written: map[string]string{"b": "x.y"}, changed: informer.NewSignal(),
			}
			w.peers = map[string]*peerWatch{"b": {Watcher: w, name: "b", cancel: func() {}}}
			happens(w)
			select {
			case <-w.changed:
			default:
				t.Error("the writer is not woken")
			}
		})
	}
}
