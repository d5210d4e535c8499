package watcher_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	kubetesting "k8s.io/client-go/testing"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/watcher"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

func TestTheWatcherIsReadyOnceItKnowsAllResources(t *testing.T) {
	client := newClient("", federation("uuid-b", ""))
	var allowed atomic.Bool
	client.PrependReactor("list", watcher.Federations.Resource.Resource, func(kubetesting.Action) (bool, runtime.Object, error) {
		return !allowed.Load(), nil, errors.New("forbidden for now")
	})
	h := run(t, newFakePeer(), quick(), client)
	awaitReadiness := func(good func(err error) bool) {
		t.Helper()
		peerstest.Await(t, func() string {
			if err := h.watcher.Ready(); !good(err) {
				return fmt.Sprintf("Ready() = %v", err)
			}
			return ""
		})
	}
	awaitReadiness(func(err error) bool { return err != nil && strings.Contains(err.Error(), "forbidden for now") })
	allowed.Store(true)
	awaitReadiness(func(err error) bool { return err == nil })
}
