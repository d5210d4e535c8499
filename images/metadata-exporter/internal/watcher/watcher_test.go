package watcher_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kubetesting "k8s.io/client-go/testing"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/fixture"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/watcher"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/peer"
)

func complete(value string) bool { return value != "" && !strings.Contains(value, "-") }

func TestAChangeAtThePeerPokesTheResource(t *testing.T) {
	b := newFakePeer()
	h := run(t, b, quick(), newClient(federation("", "uuid-b", "")))
	value := h.waitAnnotation(complete)
	for _, path := range []string{metadata.FederationPath, metadata.PublicPath} {
		b.waitHeld(t, endpoint, path, 1)
		b.set(func() { b.etags[path] = `"other"` })
		before := value
		value = h.waitAnnotation(func(now string) bool { return now != before })
	}
	for _, request := range b.asked(metadata.FederationPath) {
		if request.Token != "token for uuid-b" {
			t.Errorf("asked for the private document with %q", request.Token)
		}
	}
	for _, request := range b.asked(metadata.PublicPath) {
		if request.Token != "" {
			t.Errorf("asked for the public document with %q", request.Token)
		}
	}
}

func TestARestartWithoutNewsPokesNobody(t *testing.T) {
	b := newFakePeer()
	first := run(t, b, quick(), newClient(federation("", "uuid-b", "")))
	value := first.waitAnnotation(complete)
	first.end()

	second := run(t, b, quick(), newClient(federation(value, "uuid-b", "")))
	b.waitHeld(t, endpoint, metadata.FederationPath, 1)
	b.waitHeld(t, endpoint, metadata.PublicPath, 1)
	b.set(func() { b.etags[metadata.FederationPath] = `"f2"` })
	second.waitAnnotation(func(now string) bool { return now != value })
	if got := second.patches(); got != 1 {
		t.Errorf("%d pokes for one change", got)
	}
}

// TestTwoReplicasDoNotFightOverTheAnnotation: each replica has a peer of its own here, so
// that one can be behind for as long as the test wants.
func TestTwoReplicasDoNotFightOverTheAnnotation(t *testing.T) {
	ahead, behind := newFakePeer(), newFakePeer()
	client := newClient(federation("", "uuid-b", ""))
	first := run(t, ahead, quick(), client)
	value := first.waitAnnotation(complete)
	run(t, behind, quick(), client)
	settled := func() {
		for _, replica := range []*fakePeer{ahead, behind} {
			replica.waitHeld(t, endpoint, metadata.FederationPath, 1)
			replica.waitHeld(t, endpoint, metadata.PublicPath, 1)
		}
	}
	settled()
	before := first.patches()

	change := func(replica *fakePeer, path, etag string) {
		t.Helper()
		replica.set(func() { replica.etags[path] = etag })
		value = first.waitAnnotation(func(now string) bool { return now != value && complete(now) })
		settled()
	}
	change(ahead, metadata.FederationPath, `"f2"`)
	change(behind, metadata.PublicPath, `"p2"`)
	change(ahead, metadata.FederationPath, `"f3"`)
	// Each catches up with the other: no news.
	ahead.set(func() { ahead.etags[metadata.PublicPath] = `"p2"` })
	behind.set(func() { behind.etags[metadata.FederationPath] = `"f3"` })
	settled()
	change(behind, metadata.FederationPath, `"f4"`)
	// A replica that writes before it was told of the other's news may cause one
	// more write, not one after another.
	if got := first.patches() - before; got < 4 || got > 8 {
		t.Errorf("%d pokes for four changes", got)
	}
}

func TestOnlyThePublicDocumentIsWatchedUntilThePeersUUIDIsKnown(t *testing.T) {
	b := newFakePeer()
	h := run(t, b, quick(), newClient(federation("", "", "")))
	h.waitAnnotation(func(value string) bool { return strings.HasSuffix(value, ".-") })
	b.waitHeld(t, endpoint, metadata.PublicPath, 1)
	if asked := b.asked(metadata.FederationPath); len(asked) != 0 {
		t.Errorf("asked for the private document: %+v", asked)
	}
	h.setStatus(map[string]any{"metadataCache": map[string]any{"public": map[string]any{"clusterUUID": "uuid-b"}}})
	b.waitHeld(t, endpoint, metadata.FederationPath, 1)
	b.waitHeld(t, endpoint, metadata.PublicPath, 1)
	h.waitAnnotation(complete)
}

func TestAPeerThatRefusesThisClusterIsStillWatchedForItsPublicDocument(t *testing.T) {
	b := newFakePeer()
	b.errors[metadata.FederationPath] = refused()
	h := run(t, b, quick(), newClient(federation("", "uuid-b", "PeerRefusesThisCluster")))
	value := h.waitAnnotation(func(value string) bool { return strings.HasSuffix(value, ".-") })
	b.waitHeld(t, endpoint, metadata.PublicPath, 1)
	b.set(func() { b.etags[metadata.PublicPath] = `"p2"` })
	value = h.waitAnnotation(func(now string) bool { return now != value })

	b.set(func() { delete(b.errors, metadata.FederationPath) })
	h.waitAnnotation(func(now string) bool { return now != value && complete(now) })
}

func TestAPeerThatIsBackIsNoticedThoughNothingChanged(t *testing.T) {
	b := newFakePeer()
	h := run(t, b, quick(), newClient(federation("", "uuid-b", "")))
	value := h.waitAnnotation(complete)
	b.waitHeld(t, endpoint, metadata.FederationPath, 1)

	b.set(func() {
		b.errors[metadata.FederationPath], b.errors[metadata.PublicPath] = unreachable(), unreachable()
	})
	fixture.Eventually(t, func() string {
		if testutil.ToFloat64(h.metrics.PeerConnected.WithLabelValues("b", metadata.FederationPath)) != 0 {
			return "the failure is not noticed"
		}
		return ""
	})
	h.setStatus(map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": "False", "reason": "PeerUnreachable"}}})
	if h.annotation() != value {
		t.Error("poked while the peer is away")
	}
	b.set(func() { clear(b.errors) })
	nudged := h.waitAnnotation(func(now string) bool { return now != value })
	if !strings.HasPrefix(nudged, value+".") {
		t.Errorf("annotation %q after %q", nudged, value)
	}
	// The hook may fail once more: it is told again.
	h.waitAnnotation(func(now string) bool { return now != nudged && strings.HasPrefix(now, value+".") })

	h.setStatus(map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": "True", "reason": "Joined"}}})
	b.waitHeld(t, endpoint, metadata.FederationPath, 1)
	requests := b.asked(metadata.FederationPath)
	for index, request := range requests[1:] {
		if request.Wait == 0 && request.IfNoneMatch != `"f1"` {
			t.Errorf("request %d forgot the tag: %+v", index+1, request)
		}
	}
}

func TestADocumentThatIsNotHeldIsAskedForSeldom(t *testing.T) {
	for name, peculiar := range map[string]func(*fakePeer){
		"the peer does not know the preference": func(b *fakePeer) { b.unheld = metadata.PublicPath },
		"the document has no tag":               func(b *fakePeer) { b.etags[metadata.PublicPath] = "" },
	} {
		t.Run(name, func(t *testing.T) {
			b := newFakePeer()
			peculiar(b)
			h := run(t, b, quick(), newClient(federation("", "uuid-b", "")))
			value := h.waitAnnotation(complete)
			for index := range 8 {
				b.waitHeld(t, endpoint, metadata.FederationPath, 1)
				b.set(func() { b.etags[metadata.FederationPath] = fmt.Sprintf(`"f-%d"`, index) })
				before := value
				value = h.waitAnnotation(func(now string) bool { return now != before })
			}
			if asked := b.asked(metadata.PublicPath); len(asked) > 2 {
				t.Errorf("asked %d times within an hour", len(asked))
			}
		})
	}
}

func TestAPeerWithoutTagsIsAskedAgainAfterTheInterval(t *testing.T) {
	b := newFakePeer()
	b.etags[metadata.PublicPath] = ""
	timing := quick()
	timing.Unheld = 5 * time.Millisecond
	h := run(t, b, timing, newClient(federation("", "", "")))
	fixture.Eventually(t, func() string {
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

func TestAnotherEndpointStartsOverAndADeletedResourceEnds(t *testing.T) {
	b := newFakePeer()
	h := run(t, b, quick(), newClient(federation("", "uuid-b", "")))
	h.waitAnnotation(complete)
	b.waitHeld(t, endpoint, metadata.PublicPath, 1)
	b.waitHeld(t, endpoint, metadata.FederationPath, 1)

	const moved = "https://moved.example.com/metadata/"
	object := federation(h.annotation(), "uuid-b", "")
	object.Object["spec"].(map[string]any)["metadataEndpoint"] = moved
	h.update(object)
	b.waitHeld(t, moved, metadata.FederationPath, 1)
	b.waitHeld(t, endpoint, metadata.FederationPath, 0)
	b.waitHeld(t, endpoint, metadata.PublicPath, 0)

	if err := h.client.Resource(watcher.Federations.Resource).Delete(context.Background(), "b", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	b.waitHeld(t, moved, metadata.FederationPath, 0)
	b.waitHeld(t, moved, metadata.PublicPath, 0)
	fixture.Eventually(t, func() string {
		if got := testutil.CollectAndCount(h.metrics.PeerConnected); got != 0 {
			return fmt.Sprintf("%d series of a peer that is gone", got)
		}
		return ""
	})
}

func TestAChangeOfStatusDoesNotInterruptThePolls(t *testing.T) {
	b := newFakePeer()
	h := run(t, b, quick(), newClient(federation("", "uuid-b", "")))
	h.waitAnnotation(complete)
	b.waitHeld(t, endpoint, metadata.FederationPath, 1)
	before := len(b.asked(metadata.FederationPath))
	h.setStatus(map[string]any{"importedServices": int64(3)})
	b.set(func() { b.etags[metadata.PublicPath] = `"p2"` })
	value := h.annotation()
	h.waitAnnotation(func(now string) bool { return now != value })
	if after := len(b.asked(metadata.FederationPath)); after != before {
		t.Errorf("%d requests for the private document, %d before", after, before)
	}
}

func TestAPokeThatFailsIsTriedAgain(t *testing.T) {
	b := newFakePeer()
	client := newClient(federation("", "uuid-b", ""))
	var failures atomic.Int32
	client.PrependReactor("patch", "*", func(kubetesting.Action) (bool, runtime.Object, error) {
		if failures.Add(1) <= 3 {
			return true, nil, errors.New("the API server is busy")
		}
		return false, nil, nil
	})
	h := run(t, b, quick(), client)
	h.waitAnnotation(complete)
}

func TestWithoutAKeyThePublicDocumentIsStillWatched(t *testing.T) {
	b := newFakePeer()
	client := newClient(federation("", "uuid-b", ""))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	h := &home{t: t, client: client, stop: cancel, stopped: make(chan struct{})}
	watch := newWatcherWithoutKey(b, client)
	go func() {
		defer close(h.stopped)
		_ = watch.Run(ctx)
	}()
	h.waitAnnotation(func(value string) bool { return strings.HasSuffix(value, ".-") })
	fixture.Eventually(t, func() string {
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
	client := newClient(federation("", "uuid-b", ""))
	var lists atomic.Int32
	client.PrependReactor("list", "*", func(kubetesting.Action) (bool, runtime.Object, error) {
		if lists.Add(1) == 1 {
			return true, nil, errors.New("forbidden")
		}
		return false, nil, nil
	})
	h := run(t, b, quick(), client)
	h.waitAnnotation(complete)
	if lists.Load() < 2 {
		t.Error("the list never failed")
	}
}

var _ watcher.Fetcher = (*peer.Client)(nil)
