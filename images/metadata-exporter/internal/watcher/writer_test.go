package watcher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic/fake"
	kubetesting "k8s.io/client-go/testing"

	"github.com/deckhouse-mesh/istio/lib/informer"
	"github.com/deckhouse-mesh/istio/test/support/logtest"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

// slowServer answers patches one at a time, each when the test lets it.
type slowServer struct {
	arrived chan map[string]*string
	answers chan error
}

// newWatched is a Watcher with that many peers, of which nothing is written yet, and the server it writes to.
func newWatched(tb testing.TB, count int, log *slog.Logger) (*Watcher, *slowServer) {
	tb.Helper()
	server := &slowServer{arrived: make(chan map[string]*string), answers: make(chan error)}
	client := fake.NewSimpleDynamicClient(runtime.NewScheme())
	client.PrependReactor("patch", "configmaps", func(action kubetesting.Action) (bool, runtime.Object, error) {
		var content struct {
			Data map[string]*string `json:"data"`
		}
		if err := json.Unmarshal(action.(kubetesting.PatchAction).GetPatch(), &content); err != nil {
			tb.Error(err)
		}
		server.arrived <- content.Data
		return true, &unstructured.Unstructured{}, <-server.answers
	})
	w := &Watcher{
		Kind: Federations, Client: client, Namespace: "d8-istio", Metrics: NewMetrics(), Log: log, Timing: DefaultTiming(),
		changed: informer.NewSignal(), peers: map[string]*peerWatch{}, complete: true,
	}
	w.Timing.RetryMin, w.Timing.RetryMax = time.Millisecond, time.Millisecond
	for number := range count {
		name := fmt.Sprint("peer-", number)
		ctx, cancel := context.WithCancel(tb.Context())
		cancel() // it polls nothing
		w.peers[name] = w.start(ctx, name, connection{}, state{})
		w.peers[name].stop()
	}
	return w, server
}

// see has peers from the one to before the other see a document.
func (w *Watcher) see(from, before int, etag string) {
	for number := from; number < before; number++ {
		p := w.peers[fmt.Sprint("peer-", number)]
		p.change(func() { p.public = link{version: shortHash(etag), answered: true} })
	}
}

func TestWhatIsToBeWrittenDuringAPatchIsInTheNext(t *testing.T) {
	const count = 200
	var logs logtest.Buffer
	w, server := newWatched(t, count, slog.New(slog.NewTextHandler(&logs, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); newWriter(w).run(ctx) }()

	w.see(0, 1, "a")
	if got := <-server.arrived; len(got) != 1 || *got["peer-0"] != shortHash("a")+".-" {
		t.Fatalf("the first patch has %v", got)
	}
	w.see(1, count, "b")
	server.answers <- nil
	if got := <-server.arrived; len(got) != count-1 {
		t.Errorf("the second patch has %d values, want %d", len(got), count-1)
	}
	w.see(1, 2, "c")
	server.answers <- errors.New("rejected")
	got := <-server.arrived
	if len(got) != count-1 || *got["peer-1"] != shortHash("c")+".-" || *got["peer-2"] != shortHash("b")+".-" {
		t.Errorf("%d values are tried again, of peer-1 %q", len(got), *got["peer-1"])
	}
	if logged := strings.Count(logs.String(), "cannot notify the discovery hook; retrying"); logged != count-1 {
		t.Errorf("%d peers' failures are logged, want %d", logged, count-1)
	}
	w.mu.Lock()
	delete(w.peers, "peer-2") // its resource is deleted meanwhile
	w.mu.Unlock()
	server.answers <- nil
	peerstest.Await(t, func() string {
		if counted := testutil.CollectAndCount(w.Metrics.PeerPokes); counted != count-1 {
			return fmt.Sprintf("%d peers' pokes are counted, want %d", counted, count-1)
		}
		return ""
	})
	if testutil.ToFloat64(w.Metrics.PeerPokes.WithLabelValues("peer-2", causeChanged)) != 0 {
		t.Error("a poke is counted of a peer whose resource was deleted")
	}
	select {
	case got := <-server.arrived:
		t.Errorf("%v is written though nothing has changed", got)
	case <-time.After(20 * time.Millisecond):
	}
	cancel()
	<-ended
}

func TestKeysOfADeletedConfigMapAreNotRemovedAgain(t *testing.T) {
	var logs logtest.Buffer
	w, server := newWatched(t, 0, slog.New(slog.NewTextHandler(&logs, nil)))
	w.written = map[string]string{"deleted": "x.y"}
	w.Timing.Orphaned = 0
	go func() {
		if got := <-server.arrived; len(got) != 1 || got["deleted"] != nil {
			t.Errorf("sent %v", got)
		}
		server.answers <- apierrors.NewNotFound(configMaps.GroupResource(), "federation-revisions")
	}()
	if again := newWriter(w).write(t.Context()); again != 0 || logs.String() != "" {
		t.Errorf("it is tried again after %v; logged %q", again, logs.String())
	}
}

func TestAResourceIsPokedAtABoundedRate(t *testing.T) {
	w, _ := newWatched(t, 1, slog.New(slog.DiscardHandler))
	p, now := w.peers["peer-0"], time.Now()
	for number := range pokeBurst {
		if wait := p.pace(now); wait != 0 {
			t.Errorf("poke %d waits for %v", number, wait)
		}
	}
	for range 3 { // looking does not postpone it
		if wait := p.pace(now); wait != pokeInterval {
			t.Errorf("after a burst it waits for %v, want %v", wait, pokeInterval)
		}
	}
	if wait := p.pace(now.Add(pokeInterval)); wait != 0 {
		t.Errorf("after the interval it waits for %v", wait)
	}
}

// BenchmarkTwoHundredPeersPokeAtOnce counts the patches of an API server that needs
// two milliseconds for one.
func BenchmarkTwoHundredPeersPokeAtOnce(b *testing.B) {
	const (
		peers = 200
		takes = 2 * time.Millisecond
	)
	w, server := newWatched(b, peers, slog.New(slog.DiscardHandler))
	for _, p := range w.peers {
		p.limiter.SetLimit(1e9)
	}
	var patches, values atomic.Int64
	go func() {
		for got := range server.arrived {
			<-time.After(takes)
			patches.Add(1)
			values.Add(int64(len(got)))
			server.answers <- nil
		}
	}()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	go newWriter(w).run(ctx)
	for round := 0; b.Loop(); round++ {
		values.Store(0)
		w.see(0, peers, strconv.Itoa(round))
		for values.Load() < peers {
			time.Sleep(100 * time.Microsecond)
		}
	}
	b.ReportMetric(float64(patches.Load())/float64(b.N), "patches/op")
}
