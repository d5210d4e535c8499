package watcher_test

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/peer"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

func TestOnePollIsHeldOnAPeerThatAnswers(t *testing.T) {
	b := newFakePeer()
	h := run(t, b, quick(), newClient("", federation("uuid-b", "")))
	value := h.waitWritten(watchesPrivate)
	b.waitHeld(t, endpoint, metadata.FederationPath, 1)
	b.set(func() { b.etags[metadata.FederationPath] = `"f2"` })
	h.waitWritten(func(now string) bool { return now != value })
	b.waitHeld(t, endpoint, metadata.FederationPath, 1)
	if asked := b.asked(metadata.PublicPath); len(asked) != 0 {
		t.Errorf("asked for the public document: %+v", asked)
	}
	if series := testutil.CollectAndCount(h.metrics.PeerConnected); series != 1 {
		t.Errorf("%d series for one poll", series)
	}
}

func TestThePublicDocumentIsPolledWhileThePrivateOneCannotBeFetched(t *testing.T) {
	for name, failure := range map[string]error{
		"the peer rejects this cluster":            rejected(),
		"the peer has no such document":            &peer.Error{Reason: peer.NotFound, URL: "https://b", StatusCode: 404},
		"the private path alone cannot be reached": unreachable(),
	} {
		t.Run(name, func(t *testing.T) {
			b := newFakePeer()
			h := run(t, b, quick(), newClient("", federation("uuid-b", "")))
			h.waitWritten(watchesPrivate)
			connected := func() float64 {
				return testutil.ToFloat64(h.metrics.PeerConnected.WithLabelValues("b", metadata.FederationPath))
			}
			for round := range 2 {
				b.waitHeld(t, endpoint, metadata.FederationPath, 1)
				b.waitHeld(t, endpoint, metadata.PublicPath, 0)

				b.set(func() { b.errors[metadata.FederationPath] = failure })
				b.waitHeld(t, endpoint, metadata.PublicPath, 1)
				if got := connected(); got != 0 {
					t.Errorf("the private document is said to be answered: %v", got)
				}
				// It came back as another, and is noticed at once.
				before := h.waitWritten(complete)
				b.set(func() { b.etags[metadata.PublicPath] = fmt.Sprintf(`"p-%d"`, round) })
				known := h.waitWritten(func(now string) bool { return now != before && complete(now) })
				b.waitHeld(t, endpoint, metadata.PublicPath, 1)

				b.set(func() {
					delete(b.errors, metadata.FederationPath)
					b.etags[metadata.FederationPath] = fmt.Sprintf(`"f-%d"`, round)
				})
				h.waitWritten(func(now string) bool { return now != known && complete(now) })
			}
			b.waitHeld(t, endpoint, metadata.FederationPath, 1)
			b.waitHeld(t, endpoint, metadata.PublicPath, 0)
			peerstest.Await(t, func() string {
				if series := testutil.CollectAndCount(h.metrics.PeerConnected); series != 1 || connected() != 1 {
					return fmt.Sprintf("%d series, the private document's says %v", series, connected())
				}
				return ""
			})
			for _, request := range b.asked(metadata.PublicPath) {
				if request.Token != "" {
					t.Errorf("asked for the public document with %q", request.Token)
				}
			}
			h.end()
			b.waitHeld(t, endpoint, metadata.FederationPath, 0)
		})
	}
}

func TestAWatcherThatEndsDuringTheFallbackLeavesNoPollBehind(t *testing.T) {
	b := newFakePeer()
	b.errors[metadata.FederationPath] = rejected()
	h := run(t, b, quick(), newClient("", federation("uuid-b", "")))
	b.waitHeld(t, endpoint, metadata.PublicPath, 1)
	h.end()
	b.waitHeld(t, endpoint, metadata.PublicPath, 0)
}
