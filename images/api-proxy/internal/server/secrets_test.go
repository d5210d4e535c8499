package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	clientfeatures "k8s.io/client-go/features"
	clientfeaturestesting "k8s.io/client-go/features/testing"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

// restConfig is for client-go as istiod has it, in the given format.
func (p *proxy) restConfig(tb testing.TB, contentType string) *rest.Config {
	tb.Helper()
	return &rest.Config{
		Host: "https://" + p.address, BearerToken: p.b.Token(tb, here, authn.ScopeAPI),
		TLSClientConfig: rest.TLSClientConfig{CAData: []byte(p.roots.PEM())},
		ContentConfig:   rest.ContentConfig{AcceptContentTypes: contentType, ContentType: contentType},
		QPS:             -1,
	}
}

// TestAnInformerOfSecretsSyncs runs the informer that istiod has on the Secrets
// of a remote cluster, listing in both of the ways that client-go knows.
func TestAnInformerOfSecretsSyncs(t *testing.T) {
	for _, streaming := range []bool{true, false} {
		for _, contentType := range []string{"application/vnd.kubernetes.protobuf,application/json", "application/json"} {
			t.Run(fmt.Sprintf("WatchList %v, %s", streaming, contentType), func(t *testing.T) {
				clientfeaturestesting.SetFeatureDuringTest(t, clientfeatures.WatchListClient, streaming)
				p := start(t, setup{})
				var (
					mu       sync.Mutex
					problems []error
				)
				informer := coreinformers.NewFilteredSecretInformer(clientset(t, p.restConfig(t, contentType)), metav1.NamespaceAll, 0, cache.Indexers{},
					func(options *metav1.ListOptions) { options.FieldSelector = "type!=helm.sh/release.v1" })
				if err := informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
					mu.Lock()
					defer mu.Unlock()
					problems = append(problems, err)
				}); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), peerstest.Deadline)
				defer cancel()
				var running sync.WaitGroup
				running.Go(func() { informer.RunWithContext(ctx) })
				if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
					t.Error("not synced")
				}
				peerstest.Await(t, func() string { // and continues with a watch
					if !hasRequest(p, "watch", "secrets") {
						return "no watch"
					}
					return ""
				})
				cancel()
				running.Wait()
				if got := informer.GetStore().ListKeys(); len(got) > 0 {
					t.Errorf("it has %v", got)
				}
				mu.Lock()
				defer mu.Unlock()
				if len(problems) > 0 {
					t.Errorf("list or watch failed: %v", problems)
				}
				if got := p.backend.take(); len(got) > 0 {
					t.Errorf("arrived at the API server: %v", got)
				}
			})
		}
	}
}

// hasRequest is true when a watch is held, or was answered.
func hasRequest(p *proxy, verb, resource string) bool {
	families, err := p.metrics.Registry.Gather()
	if err != nil {
		return false
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			switch family.GetName() {
			case "api_proxy_watches":
				if verb == "watch" && metric.GetGauge().GetValue() > 0 {
					return true
				}
			case "api_proxy_requests_total":
				labels := metric.String()
				if strings.Contains(labels, verb) && strings.Contains(labels, resource) {
					return true
				}
			}
		}
	}
	return false
}

func clientset(tb testing.TB, config *rest.Config) *kubernetes.Clientset {
	tb.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		tb.Fatal(err)
	}
	return client
}

func TestSecretsLookEmptyInEveryForm(t *testing.T) {
	p := start(t, setup{})
	ctx := t.Context()
	for _, contentType := range []string{"application/json", "application/vnd.kubernetes.protobuf"} {
		t.Run(contentType, func(t *testing.T) {
			config := p.restConfig(t, contentType)
			client := clientset(t, config)
			list, err := client.CoreV1().Secrets("shop").List(ctx, metav1.ListOptions{Limit: 500, LabelSelector: "a=b"})
			if err != nil || list.ResourceVersion != "1" || len(list.Items) > 0 {
				t.Errorf("List() = %v, %v", list, err)
			}
			configMaps, err := client.CoreV1().ConfigMaps("d8-istio").List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=istio-v1x99"})
			if err != nil || configMaps.ResourceVersion != "1" || len(configMaps.Items) > 0 {
				t.Errorf("List() = %v, %v", configMaps, err)
			}
			partial, err := metadata.NewForConfig(config)
			if err != nil {
				t.Fatal(err)
			}
			metadataOnly, err := partial.Resource(schema.GroupVersionResource{Version: "v1", Resource: "secrets"}).List(ctx, metav1.ListOptions{})
			if err != nil || metadataOnly.ResourceVersion != "1" || len(metadataOnly.Items) > 0 {
				t.Errorf("List() of metadata = %v, %v", metadataOnly, err)
			}
			if got, err := client.CoreV1().Secrets("shop").Get(ctx, "x", metav1.GetOptions{}); err == nil || !strings.Contains(err.Error(), "cannot be read") {
				t.Errorf("Get() = %v, %v", got, err)
			}
			if got, err := client.CoreV1().Secrets("shop").Create(ctx, &corev1.Secret{}, metav1.CreateOptions{}); err == nil {
				t.Errorf("Create() = %v", got)
			}
		})
	}
	if got := p.backend.take(); len(got) > 0 {
		t.Errorf("arrived at the API server: %v", got)
	}
}

func TestAWatchOfSecretsEndsInTimeAndBookmarksTheStart(t *testing.T) {
	p := start(t, setup{})
	for _, contentType := range []string{"application/json", "application/vnd.kubernetes.protobuf"} {
		t.Run(contentType, func(t *testing.T) {
			seconds, yes := int64(1), true
			began := time.Now()
			events, err := clientset(t, p.restConfig(t, contentType)).CoreV1().Secrets("").Watch(t.Context(), metav1.ListOptions{
				TimeoutSeconds: &seconds, AllowWatchBookmarks: true, SendInitialEvents: &yes, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
			})
			if err != nil {
				t.Fatal(err)
			}
			var got []apiwatch.Event
			for event := range events.ResultChan() {
				got = append(got, event)
			}
			if took := time.Since(began); took < time.Second || took > peerstest.Deadline {
				t.Errorf("the watch ended after %s", took)
			}
			if len(got) != 1 || got[0].Type != apiwatch.Bookmark {
				t.Fatalf("events %v", got)
			}
			secret, ok := got[0].Object.(*corev1.Secret)
			if !ok || secret.Annotations[metav1.InitialEventsAnnotationKey] != "true" || secret.ResourceVersion != "1" {
				t.Errorf("bookmark %v", got[0].Object)
			}
		})
	}
}

func TestTheAnswerIsInTheRequestedForm(t *testing.T) {
	p := start(t, setup{})
	client := p.client(t, true)
	for accept, want := range map[string]struct {
		code        int
		contentType string
		contains    string
	}{
		"":                                    {200, "application/json", `"kind":"SecretList"`},
		"*/*":                                 {200, "application/json", `"items":[]`},
		"application/json":                    {200, "application/json", `"resourceVersion":"1"`},
		"application/vnd.kubernetes.protobuf": {200, "application/vnd.kubernetes.protobuf", "k8s\x00"},
		"application/json;q=0.9,application/vnd.kubernetes.protobuf":                       {200, "application/vnd.kubernetes.protobuf", "SecretList"},
		"application/vnd.kubernetes.protobuf;q=0.1, application/json":                      {200, "application/json", "SecretList"},
		"application/json;as=Table;v=v1;g=meta.k8s.io,application/json":                    {200, "application/json", `"kind":"Table"`},
		"application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json":               {200, "application/json", `"kind":"SecretList"`},
		"application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1":                 {200, "application/json", `"kind":"PartialObjectMetadataList"`},
		"application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,application/json": {200, "application/json", "SecretList"},
		"application/cbor,application/json":                                                {200, "application/json", "SecretList"},
		"application/yaml":                                                                 {406, "application/json", "NotAcceptable"},
		"text/html;q=x":                                                                    {406, "application/json", "NotAcceptable"},
	} {
		r := p.request(t, http.MethodGet, "/api/v1/secrets", "")
		r.Header.Set("Accept", accept)
		response, body := do(t, client, r)
		if response.StatusCode != want.code || response.Header.Get("Content-Type") != want.contentType || !bytes.Contains([]byte(body), []byte(want.contains)) {
			t.Errorf("Accept: %s\n%d %s %q", accept, response.StatusCode, response.Header.Get("Content-Type"), body)
		}
	}
}

// TestAWatchIsAnsweredAtOnce: its holder waits for the headers.
func TestAWatchIsAnsweredAtOnce(t *testing.T) {
	p := start(t, setup{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, target := range []string{"/api/v1/secrets?watch=true", "/api/v1/namespaces/d8-istio/configmaps?watch=true&fieldSelector=metadata.name%3Distio-v1x99"} {
		response, err := p.client(t, true).Do(p.request(t, http.MethodGet, target, "").WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%d %v", response.StatusCode, response.Header)
		}
		t.Cleanup(func() { _, _ = io.Copy(io.Discard, response.Body); response.Body.Close() })
	}
}
