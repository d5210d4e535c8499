package watcher_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kubetesting "k8s.io/client-go/testing"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/watcher"
	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/test/support/logtest"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

// waitNames waits until values are written for these resources and no others.
func (h *home) waitNames(names ...string) {
	h.t.Helper()
	peerstest.Await(h.t, func() string {
		written := h.revisions()
		if len(written) != len(names) {
			return fmt.Sprintf("written is %v, want %v", written, names)
		}
		for _, name := range names {
			if written[name] == "" {
				return fmt.Sprintf("written is %v, want %v", written, names)
			}
		}
		return ""
	})
}

func TestTheEntryOfADeletedResourceIsPruned(t *testing.T) {
	other := federation("uuid-c", "")
	other.SetName("c")
	h := run(t, newFakePeer(), quick(), newClient("", federation("uuid-b", ""), other))
	h.waitNames("b", "c")
	kept := h.revisions()["c"]
	if err := h.client.Resource(watcher.Federations.Resource).Delete(context.Background(), "b", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	h.waitNames("c")
	if got := h.revisions()["c"]; got != kept {
		t.Errorf("of the other resource %q was written and now %q is", kept, got)
	}
}

func TestEntriesOfDeletedResourcesArePrunedOnStart(t *testing.T) {
	client := newClientOf(federation("uuid-b", ""),
		configMapOf(watcher.Federations, map[string]string{"deleted": "x.y", "b": "-.z", "removed": "switched-on.x"}))
	h := run(t, newFakePeer(), quick(), client)
	h.waitNames("b")
}

func TestNothingIsRemovedBeforeAllResourcesAreKnown(t *testing.T) {
	b := newFakePeer()
	client := newClient("-.z", federation("uuid-b", ""))
	listed := make(chan struct{})
	proceed := sync.OnceFunc(func() { close(listed) })
	client.PrependReactor("list", watcher.Federations.Resource.Resource, func(kubetesting.Action) (bool, runtime.Object, error) {
		<-listed
		return false, nil, nil
	})
	h := run(t, b, quick(), client)
	t.Cleanup(proceed) // before the watcher is stopped
	peerstest.Await(t, func() string {
		for _, action := range client.Actions() {
			if action.Matches("watch", configMaps.Resource) {
				return ""
			}
		}
		return "the ConfigMap is not watched"
	})
	proceed()
	h.waitWritten(func(value string) bool { return value != "-.z" && watchesPrivate(value) })
	for _, action := range client.Actions() {
		if patch, ok := action.(kubetesting.PatchAction); ok && strings.Contains(string(patch.GetPatch()), "null") {
			t.Errorf("removed the entry of an existing resource: %s", patch.GetPatch())
		}
	}
}

func TestAMissingConfigMapIsLoggedOnceAndWrittenWhenItIsBack(t *testing.T) {
	b := newFakePeer()
	other := federation("uuid-c", "")
	other.SetName("c")
	var logs logtest.Buffer
	timing := quick()
	// The next write is caused by the new ConfigMap and not by a retry.
	timing.RetryMax = timing.RetryMin
	client := newClientOf(federation("uuid-b", ""), other)
	h := runLogging(t, b, timing, client, slog.New(slog.NewTextHandler(&logs, nil)))
	peerstest.Await(t, func() string {
		if got := h.patches(); got < 6 {
			return fmt.Sprintf("tried %d times", got)
		}
		return ""
	})
	if got := strings.Count(logs.String(), "cannot notify the discovery hook; retrying"); got != 1 {
		t.Errorf("logged %d times that the ConfigMap is missing", got)
	}

	create := func() {
		t.Helper()
		if _, err := h.configMaps().Create(context.Background(), configMapOf(watcher.Federations, nil), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	create()
	h.waitNames("b", "c")
	before := h.revisions()

	remove := func() {
		t.Helper()
		if err := h.configMaps().Delete(context.Background(), watcher.Federations.ConfigMap, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	b.waitHeld(t, endpoint, metadata.FederationPath, 2)
	remove()
	create()
	h.waitNames("b", "c")
	if after := h.revisions(); !maps.Equal(before, after) {
		t.Errorf("the entries were %v and are %v, though no peer has changed", before, after)
	}

	remove()
	b.set(func() { b.etags[metadata.FederationPath] = `"f2"` })
	peerstest.Await(t, func() string {
		if got := strings.Count(logs.String(), "cannot notify the discovery hook; retrying"); got != 2 {
			return fmt.Sprintf("logged %d times that the ConfigMap is missing", got)
		}
		return ""
	})
	create()
	h.waitNames("b", "c")
	for name, value := range h.revisions() {
		if value == before[name] {
			t.Errorf("of %s the former %q is written", name, value)
		}
	}
}

func TestARecreatedConfigMapIsWrittenAtOnce(t *testing.T) {
	timing := quick()
	timing.RetryMin, timing.RetryMax = 10*peerstest.Deadline, 10*peerstest.Deadline
	client := newClientOf(federation("uuid-b", ""))
	h := run(t, newFakePeer(), timing, client)
	peerstest.Await(t, func() string {
		if h.patches() == 0 {
			return "not tried yet"
		}
		return ""
	})
	if _, err := h.configMaps().Create(context.Background(), configMapOf(watcher.Federations, nil), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	h.waitNames("b")
}

// TestTheConfigMapIsReadByItsName compares the requests with the exporter's rights.
func TestTheConfigMapIsReadByItsName(t *testing.T) {
	client := newClient("", federation("uuid-b", ""))
	h := run(t, newFakePeer(), quick(), client)
	h.waitWritten(watchesPrivate)
	h.end()
	only := "metadata.name=" + watcher.Federations.ConfigMap
	for _, action := range client.Actions() {
		if action.GetResource() != configMaps || action.GetVerb() == "get" { // the test's own
			continue
		}
		selected := ""
		switch request := action.(type) {
		case kubetesting.ListAction:
			selected = request.GetListRestrictions().Fields.String()
		case kubetesting.WatchAction:
			selected = request.GetWatchRestrictions().Fields.String()
		case kubetesting.PatchAction:
			selected = "metadata.name=" + request.GetName()
		}
		if selected != only || action.GetNamespace() != v1alpha1.Namespace {
			t.Errorf("%s of ConfigMaps %q in namespace %q", action.GetVerb(), selected, action.GetNamespace())
		}
	}
}

// TestAChangeOfOnePeerIsWrittenUnderItsNameOnly: the value of another resource may be of another replica.
func TestAChangeOfOnePeerIsWrittenUnderItsNameOnly(t *testing.T) {
	b := newFakePeer()
	client := newClient("", federation("uuid-b", ""))
	h := run(t, b, quick(), client)
	h.waitWritten(watchesPrivate)
	b.waitHeld(t, endpoint, metadata.FederationPath, 1)
	b.set(func() { b.etags[metadata.FederationPath] = `"f2"` })
	before := h.written()
	h.waitWritten(func(now string) bool { return now != before })
	for _, action := range client.Actions() {
		if patch, ok := action.(kubetesting.PatchAction); ok && !strings.HasPrefix(string(patch.GetPatch()), `{"data":{"b":"`) {
			t.Errorf("wrote %s", patch.GetPatch())
		}
	}
}
