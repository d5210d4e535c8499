package watcher_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kubetesting "k8s.io/client-go/testing"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/watcher"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/peer"
	"github.com/deckhouse-mesh/istio/test/support/logtest"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

// watchesPrivate is true for a value with a version of the private document, whose
// tag changes with both.
func watchesPrivate(value string) bool { return value != "" && !strings.HasSuffix(value, ".-") }

// complete is true for one with a version of the public document, too, as it has
// once the private one could not be had.
func complete(value string) bool { return value != "" && !strings.Contains(value, "-") }

func TestAChangeAtThePeerIsWritten(t *testing.T) {
	b := newFakePeer()
	h := run(t, b, quick(), newClient("", federation("uuid-b", "")))
	value := h.waitWritten(watchesPrivate)
	for _, etag := range []string{`"f2"`, `"f3"`} {
		b.waitHeld(t, endpoint, metadata.FederationPath, 1)
		b.set(func() { b.etags[metadata.FederationPath] = etag })
		before := value
		value = h.waitWritten(func(now string) bool { return now != before })
	}
	for _, request := range b.asked(metadata.FederationPath) {
		if request.Token != "token for uuid-b" || request.MaxBytes != metadata.FederationDocument.MaxBytes {
			t.Errorf("asked for the private document with token %q and a limit of %d bytes", request.Token, request.MaxBytes)
		}
	}
}

func TestARestartWithoutAChangePokesNothing(t *testing.T) {
	b := newFakePeer()
	first := run(t, b, quick(), newClient("", federation("uuid-b", "")))
	value := first.waitWritten(watchesPrivate)
	first.end()

	second := run(t, b, quick(), newClient(value, federation("uuid-b", "")))
	b.waitHeld(t, endpoint, metadata.FederationPath, 1)
	b.set(func() { b.etags[metadata.FederationPath] = `"f2"` })
	second.waitWritten(func(now string) bool { return now != value })
	if got := second.patches(); got != 1 {
		t.Errorf("%d pokes for one change", got)
	}
}

// TestTwoReplicasDoNotFightOverWhatIsWritten: each replica has a peer of its own here, so
// that one can be behind for as long as the test wants. One of them is rejected, and
// polls the public document.
func TestTwoReplicasDoNotFightOverWhatIsWritten(t *testing.T) {
	admitted, turnedAway := newFakePeer(), newFakePeer()
	turnedAway.errors[metadata.FederationPath] = rejected()
	client := newClient("", federation("uuid-b", ""))
	first := run(t, admitted, quick(), client)
	run(t, turnedAway, quick(), client)
	poked := func(times int) {
		t.Helper()
		peerstest.Await(t, func() string {
			if got := first.patches(); got < times {
				return fmt.Sprintf("%d pokes, want %d", got, times)
			}
			return ""
		})
	}
	poked(2) // Either has seen a document that the other has not.

	changes := 0
	change := func(replica *fakePeer, path, etag string) {
		t.Helper()
		replica.waitHeld(t, endpoint, path, 1)
		before := first.patches()
		replica.set(func() { replica.etags[path] = etag })
		poked(before + 1)
		changes++
	}
	change(admitted, metadata.FederationPath, `"f2"`)
	change(turnedAway, metadata.PublicPath, `"p2"`)
	change(admitted, metadata.FederationPath, `"f3"`)
	change(turnedAway, metadata.PublicPath, `"p3"`)
	// Accepted again, it catches up with the other: no change.
	turnedAway.set(func() {
		turnedAway.etags[metadata.FederationPath] = `"f3"`
		delete(turnedAway.errors, metadata.FederationPath)
	})
	turnedAway.waitHeld(t, endpoint, metadata.PublicPath, 0)
	change(turnedAway, metadata.FederationPath, `"f4"`)
	// A replica that writes before it has seen the other's value may cause one
	// more write, not one after another.
	if got := first.patches() - 2; got > 2*changes {
		t.Errorf("%d pokes for %d changes", got, changes)
	}
}

func TestOnlyThePublicDocumentIsWatchedUntilThePeersUUIDIsKnown(t *testing.T) {
	b := newFakePeer()
	h := run(t, b, quick(), newClient("", federation("", "")))
	h.waitWritten(func(value string) bool { return strings.HasSuffix(value, ".-") })
	b.waitHeld(t, endpoint, metadata.PublicPath, 1)
	if asked := b.asked(metadata.FederationPath); len(asked) != 0 {
		t.Errorf("asked for the private document: %+v", asked)
	}
	h.setStatus(map[string]any{"metadataCache": map[string]any{"public": map[string]any{"clusterUUID": "uuid-b"}}})
	b.waitHeld(t, endpoint, metadata.FederationPath, 1)
	b.waitHeld(t, endpoint, metadata.PublicPath, 0)
	h.waitWritten(complete)
	if series := testutil.CollectAndCount(h.metrics.PeerConnected); series != 1 {
		t.Errorf("%d series for one poll", series)
	}
}

func TestAPeerThatRejectsThisClusterIsStillWatchedForItsPublicDocument(t *testing.T) {
	b := newFakePeer()
	b.errors[metadata.FederationPath] = rejected()
	h := run(t, b, quick(), newClient("", federation("uuid-b", "PeerRefusesThisCluster")))
	value := h.waitWritten(func(value string) bool { return strings.HasSuffix(value, ".-") })
	b.waitHeld(t, endpoint, metadata.PublicPath, 1)
	b.set(func() { b.etags[metadata.PublicPath] = `"p2"` })
	value = h.waitWritten(func(now string) bool { return now != value })

	b.set(func() { delete(b.errors, metadata.FederationPath) })
	h.waitWritten(func(now string) bool { return now != value && complete(now) })
}

func TestAPeerThatAnswersAgainIsNoticedThoughNothingChanged(t *testing.T) {
	b := newFakePeer()
	h := run(t, b, quick(), newClient("", federation("uuid-b", "")))
	value := h.waitWritten(watchesPrivate)
	b.waitHeld(t, endpoint, metadata.FederationPath, 1)

	b.set(func() {
		b.errors[metadata.FederationPath], b.errors[metadata.PublicPath] = unreachable(), unreachable()
	})
	peerstest.Await(t, func() string {
		if testutil.ToFloat64(h.metrics.PeerConnected.WithLabelValues("b", metadata.FederationPath)) != 0 {
			return "the failure is not noticed"
		}
		return ""
	})
	h.setStatus(map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": "False", "reason": "PeerUnreachable"}}})
	if h.written() != value {
		t.Error("poked while the peer is away")
	}
	b.set(func() { clear(b.errors) })
	// Whichever document is seen first, the hook is nudged, though no revision is another.
	private := strings.TrimPrefix(value, "-")
	nudge := func(now string) bool { return strings.Contains(now, private+".") }
	nudged := h.waitWritten(nudge)
	// The hook may fail once more: it is nudged again.
	h.waitWritten(func(now string) bool { return now != nudged && nudge(now) })

	h.setStatus(map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": "True", "reason": "Joined"}}})
	b.waitHeld(t, endpoint, metadata.FederationPath, 1)
	requests := b.asked(metadata.FederationPath)
	for index, request := range requests[1:] {
		if request.Wait == 0 && request.IfNoneMatch != `"f1"` {
			t.Errorf("request %d forgot the tag: %+v", index+1, request)
		}
	}
}

func TestADocumentThatIsNotHeldIsPolledRarely(t *testing.T) {
	for name, peculiar := range map[string]func(*fakePeer){
		"the peer does not know the preference": func(b *fakePeer) { b.unheld = metadata.PublicPath },
		"the document has no tag":               func(b *fakePeer) { b.etags[metadata.PublicPath] = "" },
	} {
		t.Run(name, func(t *testing.T) {
			b := newFakePeer()
			peculiar(b)
			b.errors[metadata.FederationPath] = rejected()
			run(t, b, quick(), newClient("", federation("uuid-b", "")))
			peerstest.Await(t, func() string {
				if asked := len(b.asked(metadata.FederationPath)); asked < 8 {
					return fmt.Sprintf("asked %d times for the private document", asked)
				}
				return ""
			})
			if asked := b.asked(metadata.PublicPath); len(asked) == 0 || len(asked) > 2 {
				t.Errorf("asked %d times within an hour", len(asked))
			}
		})
	}
}

func TestALoadBalancerThatCutsIdleConnectionsIsNoFailureOfThePeer(t *testing.T) {
	peers := newFakePeer()
	peers.cutAfter = 100 * time.Millisecond
	var log logtest.Buffer
	runLogging(t, peers, quick(), newClient("", federation("uuid-b", "")), slog.New(slog.NewTextHandler(&log, nil)))
	var waits []time.Duration
	peerstest.Await(t, func() string {
		waits = nil
		for _, request := range peers.asked(metadata.FederationPath) {
			waits = append(waits, request.Wait)
		}
		if len(waits) < 6 {
			return fmt.Sprintf("the peer was asked to wait for %v", waits)
		}
		return ""
	})
	if waits[0] != 0 || waits[1] != quick().Wait || waits[2] != 0 {
		t.Errorf("the peer was asked to wait for %v; want no time, %s, and after the cut no time", waits, quick().Wait)
	}
	for _, wait := range waits[3:] {
		if wait <= 0 || wait >= 2*peers.cutAfter {
			t.Errorf("the peer was asked to wait for %s: the wait has not adapted", wait)
		}
	}
	if strings.Contains(log.String(), "level=WARN") || strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("the log says\n%s", log.String())
	}
}

func TestAPeerWithoutTagsIsAskedAgainAfterTheInterval(t *testing.T) {
	b := newFakePeer()
	b.etags[metadata.PublicPath] = ""
	timing := quick()
	timing.Unheld = 5 * time.Millisecond
	h := run(t, b, timing, newClient("", federation("", "")))
	peerstest.Await(t, func() string {
		if asked := len(b.asked(metadata.PublicPath)); asked < 4 {
			return fmt.Sprintf("asked %d times", asked)
		}
		return ""
	})
	h.end()
	if got := h.patches(); got != 1 {
		t.Errorf("%d pokes for the same bytes", got)
	}
}

func TestAnotherEndpointRestartsTheWatchAndADeletedResourceEndsIt(t *testing.T) {
	b := newFakePeer()
	h := run(t, b, quick(), newClient("", federation("uuid-b", "")))
	h.waitWritten(watchesPrivate)
	b.waitHeld(t, endpoint, metadata.FederationPath, 1)

	const moved = "https://moved.example.com/metadata/"
	object := federation("uuid-b", "")
	object.Object["spec"].(map[string]any)["metadataEndpoint"] = moved
	h.update(object)
	b.waitHeld(t, moved, metadata.FederationPath, 1)
	b.waitHeld(t, endpoint, metadata.FederationPath, 0)

	if err := h.client.Resource(watcher.Federations.Resource).Delete(context.Background(), "b", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	b.waitHeld(t, moved, metadata.FederationPath, 0)
	peerstest.Await(t, func() string {
		if got := testutil.CollectAndCount(h.metrics.PeerConnected); got != 0 {
			return fmt.Sprintf("%d series of a deleted peer", got)
		}
		return ""
	})
}

func TestAChangeOfStatusDoesNotInterruptThePolls(t *testing.T) {
	b := newFakePeer()
	h := run(t, b, quick(), newClient("", federation("uuid-b", "")))
	h.waitWritten(watchesPrivate)
	b.waitHeld(t, endpoint, metadata.FederationPath, 1)
	before := len(b.asked(metadata.FederationPath))
	h.setStatus(map[string]any{"importedServices": int64(3)})
	b.set(func() { b.etags[metadata.FederationPath] = `"f2"` })
	value := h.written()
	h.waitWritten(func(now string) bool { return now != value })
	b.waitHeld(t, endpoint, metadata.FederationPath, 1)
	// One that ended with the change, and the next.
	if after := len(b.asked(metadata.FederationPath)); after != before+1 {
		t.Errorf("%d requests for the private document, %d before the change", after, before)
	}
}

func TestAPokeThatFailsIsTriedAgain(t *testing.T) {
	b := newFakePeer()
	client := newClient("", federation("uuid-b", ""))
	var failures atomic.Int32
	client.PrependReactor("patch", "*", func(kubetesting.Action) (bool, runtime.Object, error) {
		if failures.Add(1) <= 3 {
			return true, nil, errors.New("the API server is busy")
		}
		return false, nil, nil
	})
	h := run(t, b, quick(), client)
	h.waitWritten(watchesPrivate)
}

func TestWithoutAKeyThePublicDocumentIsStillWatched(t *testing.T) {
	b := newFakePeer()
	client := newClient("", federation("uuid-b", ""))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	h := &home{t: t, client: client, stop: cancel, stopped: make(chan struct{})}
	watch := newWatcherWithoutKey(b, client)
	go func() {
		defer close(h.stopped)
		_ = watch.Run(ctx)
	}()
	h.waitWritten(func(value string) bool { return strings.HasSuffix(value, ".-") })
	peerstest.Await(t, func() string {
		if testutil.ToFloat64(watch.Metrics.PeerPolls.WithLabelValues("b", metadata.FederationPath, "ThisCluster")) < 2 {
			return "the missing key is not noticed"
		}
		return ""
	})
	if asked := b.asked(metadata.FederationPath); len(asked) != 0 {
		t.Errorf("asked without a token: %+v", asked)
	}
	h.end()
}

func TestAListThatIsForbiddenIsRetriedForAsLongAsItTakes(t *testing.T) {
	b := newFakePeer()
	client := newClient("", federation("uuid-b", ""))
	var lists atomic.Int32
	client.PrependReactor("list", "*", func(kubetesting.Action) (bool, runtime.Object, error) {
		if lists.Add(1) == 1 {
			return true, nil, errors.New("forbidden")
		}
		return false, nil, nil
	})
	h := run(t, b, quick(), client)
	h.waitWritten(watchesPrivate)
	if lists.Load() < 2 {
		t.Error("the list never failed")
	}
}

var _ watcher.Fetcher = (*peer.Client)(nil)
