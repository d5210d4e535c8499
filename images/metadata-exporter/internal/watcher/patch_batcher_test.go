package watcher

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

// slowServer accepts patches one at a time, each when the test lets it.
type slowServer struct {
	arrived chan map[string]*string
	answers chan error
}

func newSlowServer() *slowServer {
	return &slowServer{arrived: make(chan map[string]*string), answers: make(chan error)}
}

func (s *slowServer) patch(ctx context.Context, values map[string]*string) error {
	select {
	case s.arrived <- values:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-s.answers:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// startBatcher starts a patchBatcher that writes to server, and ends it after the test.
func startBatcher(t *testing.T, server *slowServer) *patchBatcher {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	g := &patchBatcher{}
	g.sendBy(ctx, server.patch)
	t.Cleanup(func() {
		cancel()
		g.end()
	})
	return g
}

// awaitNext waits until so many values wait for the next patch.
func awaitNext(t *testing.T, g *patchBatcher, want int) {
	t.Helper()
	peerstest.Await(t, func() string {
		g.mu.Lock()
		defer g.mu.Unlock()
		got := 0
		if g.next != nil {
			got = len(g.next.values)
		}
		if got != want {
			return fmt.Sprintf("%d values wait, want %d", got, want)
		}
		return ""
	})
}

func one(name, value string) map[string]*string { return map[string]*string{name: &value} }

func TestValuesWrittenDuringAPatchAreInTheNext(t *testing.T) {
	const peers = 200
	for name, outcome := range map[string]error{
		"it is written":  nil,
		"it is rejected": errors.New("rejected"),
	} {
		t.Run(name, func(t *testing.T) {
			server := newSlowServer()
			g := startBatcher(t, server)
			first := make(chan error, 1)
			go func() { first <- g.write(t.Context(), one("first", "a")) }()
			if got := <-server.arrived; len(got) != 1 || *got["first"] != "a" {
				t.Fatalf("the first patch has %v", got)
			}

			outcomes := make(chan error, peers)
			for peer := range peers {
				go func() { outcomes <- g.write(t.Context(), one(fmt.Sprintf("peer-%d", peer), "b")) }()
			}
			awaitNext(t, g, peers)
			server.answers <- nil
			if err := <-first; err != nil {
				t.Errorf("the first gets %v", err)
			}
			if got := <-server.arrived; len(got) != peers {
				t.Errorf("the second patch has %d values, want %d", len(got), peers)
			}
			select {
			case err := <-outcomes:
				t.Errorf("%v was returned before the patch had an answer", err)
			default:
			}
			server.answers <- outcome
			for range peers {
				if err := <-outcomes; !errors.Is(err, outcome) {
					t.Errorf("write() = %v, want %v", err, outcome)
				}
			}
			awaitNext(t, g, 0)
		})
	}
}

func TestTheLaterValueOfANameCounts(t *testing.T) {
	server := newSlowServer()
	g := startBatcher(t, server)
	var writing sync.WaitGroup
	write := func(values map[string]*string) {
		writing.Go(func() {
			if err := g.write(t.Context(), values); err != nil {
				t.Error(err)
			}
		})
	}
	write(one("a", "1"))
	<-server.arrived
	write(one("b", "1"))
	awaitNext(t, g, 1)
	write(map[string]*string{"b": nil, "c": nil})
	awaitNext(t, g, 2)
	write(map[string]*string{"c": new(string), "d": nil})
	awaitNext(t, g, 3)
	server.answers <- nil
	got := <-server.arrived
	if value, there := got["b"]; !there || value != nil || got["c"] == nil || len(got) != 3 {
		t.Errorf("sent %v", got)
	}
	server.answers <- nil
	writing.Wait()
}

func TestAWriterThatGivesUpDelaysNoOther(t *testing.T) {
	server := newSlowServer()
	g := startBatcher(t, server)
	ctx, cancel := context.WithCancel(t.Context())
	givesUp, waits := make(chan error, 1), make(chan error, 1)
	go func() { givesUp <- g.write(ctx, one("a", "1")) }()
	<-server.arrived
	go func() { waits <- g.write(t.Context(), one("b", "1")) }()
	awaitNext(t, g, 1)
	cancel()
	if err := <-givesUp; !errors.Is(err, context.Canceled) {
		t.Errorf("write() = %v", err)
	}
	server.answers <- nil
	if got := <-server.arrived; len(got) != 1 || got["b"] == nil {
		t.Errorf("sent %v", got)
	}
	server.answers <- nil
	if err := <-waits; err != nil {
		t.Error(err)
	}
}

func TestAPatchInProgressEndsWithTheWatcher(t *testing.T) {
	server := newSlowServer()
	ctx, cancel := context.WithCancel(t.Context())
	g := &patchBatcher{}
	g.sendBy(ctx, server.patch)
	outcome := make(chan error, 1)
	go func() { outcome <- g.write(ctx, one("a", "1")) }()
	<-server.arrived
	cancel()
	g.end()
	if err := <-outcome; !errors.Is(err, context.Canceled) {
		t.Errorf("write() = %v", err)
	}
}

// BenchmarkTwoHundredPeersPokeAtOnce counts the patches of an API server that needs
// two milliseconds for one.
func BenchmarkTwoHundredPeersPokeAtOnce(b *testing.B) {
	const (
		peers = 200
		takes = 2 * time.Millisecond
	)
	patches := 0
	g := &patchBatcher{}
	g.sendBy(b.Context(), func(context.Context, map[string]*string) error {
		patches++
		<-time.After(takes)
		return nil
	})
	for b.Loop() {
		var poking sync.WaitGroup
		for peer := range peers {
			poking.Go(func() { _ = g.write(b.Context(), one(fmt.Sprintf("peer-%d", peer), "a")) })
		}
		poking.Wait()
	}
	g.end()
	b.ReportMetric(float64(patches)/float64(b.N), "patches/op")
}
