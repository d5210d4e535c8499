package watcher_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/fake"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/watcher"
	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/peer"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

// fakePeer is a peer whose documents have tags and no content, for all
// targets at once.
type fakePeer struct {
	mu       sync.Mutex
	etags    map[string]string // by path
	errors   map[string]error  // by path
	changed  chan struct{}
	unheld   string        // the path for which it does not know Prefer: wait
	cutAfter time.Duration // something on the way ends what is held for longer; 0 for nothing
	requests []seen
	holding  map[string]int // by target and path
}

type seen struct {
	peer.Request
	target peer.Target
}

func newFakePeer() *fakePeer {
	return &fakePeer{
		etags:  map[string]string{metadata.PublicPath: `"p1"`, metadata.FederationPath: `"f1"`},
		errors: map[string]error{}, changed: make(chan struct{}), holding: map[string]int{},
	}
}

// set changes the peer and wakes the held requests.
func (f *fakePeer) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fakePeer) Get(ctx context.Context, target peer.Target, request peer.Request) (*peer.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, seen{request, target})
	waits := request.IfNoneMatch != "" && request.Wait > 0 && request.Path != f.unheld
	for {
		if err := f.errors[request.Path]; err != nil {
			return nil, err
		}
		etag := f.etags[request.Path]
		if request.IfNoneMatch == "" || request.IfNoneMatch != etag {
			return &peer.Response{ETag: etag, Digest: "digest of " + request.Path, WaitApplied: waits}, nil
		}
		if !waits {
			return &peer.Response{ETag: etag, NotModified: true}, nil
		}
		if f.cutAfter > 0 {
			if request.Wait < f.cutAfter {
				f.pause(request.Wait)
				return &peer.Response{ETag: etag, NotModified: true, WaitApplied: true}, nil
			}
			f.pause(f.cutAfter)
			return nil, &peer.Error{Reason: peer.Unreachable, URL: target.URL, StatusCode: http.StatusGatewayTimeout}
		}
		f.hold(ctx, target.URL+request.Path)
		if err := ctx.Err(); err != nil {
			return nil, &peer.Error{Reason: peer.Unreachable, URL: target.URL, Err: err}
		}
	}
}

// pause holds a request for a while; f.mu is held before and after.
func (f *fakePeer) pause(duration time.Duration) {
	f.mu.Unlock()
	<-time.After(duration)
	f.mu.Lock()
}

// hold waits for a change; f.mu is held before and after.
func (f *fakePeer) hold(ctx context.Context, key string) {
	changed := f.changed
	f.holding[key]++
	f.mu.Unlock()
	select {
	case <-changed:
	case <-ctx.Done():
	}
	f.mu.Lock()
	f.holding[key]--
}

func (f *fakePeer) waitHeld(t *testing.T, url, path string, want int) {
	t.Helper()
	peerstest.Await(t, func() string {
		f.mu.Lock()
		defer f.mu.Unlock()
		if got := f.holding[url+path]; got != want {
			return fmt.Sprintf("%d requests for %s%s are held, want %d; all requests: %+v", got, url, path, want, f.requests)
		}
		return ""
	})
}

// asked returns the requests for path so far.
func (f *fakePeer) asked(path string) []seen {
	f.mu.Lock()
	defer f.mu.Unlock()
	var requests []seen
	for _, request := range f.requests {
		if request.Path == path {
			requests = append(requests, request)
		}
	}
	return requests
}

func unreachable() error { return &peer.Error{Reason: peer.Unreachable, URL: "https://b"} }
func rejected() error {
	return &peer.Error{Reason: peer.Unauthorized, URL: "https://b", StatusCode: http.StatusUnauthorized}
}

// home is this cluster: its API server and the watcher that runs in it.
type home struct {
	t       *testing.T
	client  *fake.FakeDynamicClient
	watcher *watcher.Watcher
	metrics *watcher.Metrics
	stop    context.CancelFunc
	stopped chan struct{}
}

const endpoint = "https://b.example.com/metadata/"

func federation(clusterUUID, reason string) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{
		"spec": map[string]any{"trustDomain": "cluster-b.local", "metadataEndpoint": endpoint},
	}}
	object.SetAPIVersion(v1alpha1.APIVersion)
	object.SetKind(v1alpha1.IstioFederationKind)
	object.SetName("b")
	status := map[string]any{}
	if clusterUUID != "" {
		status["metadataCache"] = map[string]any{"public": map[string]any{"clusterUUID": clusterUUID}}
	}
	if reason != "" {
		status["conditions"] = []any{map[string]any{"type": "Ready", "status": "False", "reason": reason}}
	}
	object.Object["status"] = status
	return object
}

// revisionsOf is the ConfigMap of a kind, as Helm leaves it when written is nil.
func configMapOf(kind watcher.Kind, written map[string]string) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{}}
	object.SetAPIVersion("v1")
	object.SetKind("ConfigMap")
	object.SetNamespace(v1alpha1.Namespace)
	object.SetName(kind.ConfigMap)
	if written != nil {
		if err := unstructured.SetNestedStringMap(object.Object, written, "data"); err != nil {
			panic(err)
		}
	}
	return object
}

// newClient has a ConfigMap with that value of resource b.
func newClient(written string, objects ...runtime.Object) *fake.FakeDynamicClient {
	var data map[string]string
	if written != "" {
		data = map[string]string{"b": written}
	}
	return newClientOf(append(objects, configMapOf(watcher.Federations, data))...)
}

func newClientOf(objects ...runtime.Object) *fake.FakeDynamicClient {
	return fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		watcher.Federations.Resource: "IstioFederationList", watcher.Multiclusters.Resource: "IstioMulticlusterList",
		configMaps: "ConfigMapList",
	}, objects...)
}

var configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

func quick() watcher.Timing {
	return watcher.Timing{
		Wait: 50 * time.Second, Cut: 20 * time.Millisecond, ShortestWait: time.Millisecond, Unheld: time.Hour,
		RetryMin: time.Millisecond, RetryMax: 20 * time.Millisecond, RejectedMax: 10 * time.Millisecond,
		Nudge: 10 * time.Millisecond, NudgeMax: 40 * time.Millisecond,
		Orphaned: time.Millisecond,
	}
}

func run(t *testing.T, peers watcher.Fetcher, timing watcher.Timing, client *fake.FakeDynamicClient) *home {
	t.Helper()
	return runLogging(t, peers, timing, client, slog.New(slog.DiscardHandler))
}

func runLogging(t *testing.T, peers watcher.Fetcher, timing watcher.Timing, client *fake.FakeDynamicClient, log *slog.Logger) *home {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	h := &home{t: t, client: client, metrics: watcher.NewMetrics(), stop: cancel, stopped: make(chan struct{})}
	watch := &watcher.Watcher{
		Kind:   watcher.Federations,
		Client: client, Namespace: v1alpha1.Namespace, Peers: peers, Metrics: h.metrics, Log: log, Timing: timing,
		Token: func(clusterUUID, _ string) (string, error) { return "token for " + clusterUUID, nil },
	}
	h.watcher = watch
	go func() {
		defer close(h.stopped)
		if err := watch.Run(ctx); err != nil {
			t.Errorf("Run() = %v", err)
		}
	}()
	t.Cleanup(h.end)
	return h
}

// end stops the watcher and waits until all of it has stopped.
func (h *home) end() {
	h.t.Helper()
	h.stop()
	select {
	case <-h.stopped:
	case <-time.After(peerstest.Deadline):
		h.t.Error("the watcher does not stop")
	}
}

// revisions is the data of the ConfigMap; nil when there is no ConfigMap.
func (h *home) revisions() map[string]string {
	h.t.Helper()
	object, err := h.configMaps().Get(context.Background(), watcher.Federations.ConfigMap, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		h.t.Fatal(err)
	}
	data, _, err := unstructured.NestedStringMap(object.Object, "data")
	if err != nil {
		h.t.Fatal(err)
	}
	return data
}

func (h *home) configMaps() dynamic.ResourceInterface {
	return h.client.Resource(configMaps).Namespace(v1alpha1.Namespace)
}

func (h *home) written() string {
	h.t.Helper()
	return h.revisions()["b"]
}

// waitWritten waits for a good value and returns it.
func (h *home) waitWritten(good func(value string) bool) string {
	h.t.Helper()
	var value string
	peerstest.Await(h.t, func() string {
		if value = h.written(); !good(value) {
			return fmt.Sprintf("%q is written", value)
		}
		return ""
	})
	return value
}

// patches counts the patches that the watcher has sent.
func (h *home) patches() (count int) {
	for _, action := range h.client.Actions() {
		if action.Matches("patch", configMaps.Resource) {
			count++
		}
	}
	return count
}

func (h *home) update(object *unstructured.Unstructured) {
	h.t.Helper()
	if _, err := h.client.Resource(watcher.Federations.Resource).Update(context.Background(), object, metav1.UpdateOptions{}); err != nil {
		h.t.Fatal(err)
	}
}

// setStatus changes the status alone, as the discovery hook does.
func (h *home) setStatus(status map[string]any) {
	h.t.Helper()
	patch, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.client.Resource(watcher.Federations.Resource).Patch(context.Background(), "b", "application/merge-patch+json", patch, metav1.PatchOptions{}); err != nil {
		h.t.Fatal(err)
	}
}
