package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/cluster"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/documents"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/telemetry"
	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/informer"
	"github.com/deckhouse-mesh/istio/test/support/logtest"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

const namespace = "d8-istio"

type publishing struct {
	*cluster.Publisher
	client *fake.Clientset
	logs   *logtest.Buffer
}

// fakeReader reads from the fake clientset, which cannot stream a first list.
type fakeReader[L runtime.Object] struct{ informer.Reader[L] }

func (fakeReader[L]) IsWatchListSemanticsUnSupported() bool { return true }

func apiOf(client *fake.Clientset) cluster.API {
	return cluster.API{
		Services:       fakeReader[*corev1.ServiceList]{client.CoreV1().Services("")},
		EndpointSlices: fakeReader[*discoveryv1.EndpointSliceList]{client.DiscoveryV1().EndpointSlices("")},
		Pods:           fakeReader[*corev1.PodList]{client.CoreV1().Pods("")},
		ConfigMaps:     fakeReader[*corev1.ConfigMapList]{client.CoreV1().ConfigMaps(namespace)},
		Secrets:        fakeReader[*corev1.SecretList]{client.CoreV1().Secrets(namespace)},
	}
}

// start publishes the Services and the ConfigMap of the client.
func start(t *testing.T, client *fake.Clientset) publishing {
	t.Helper()
	logs := &logtest.Buffer{}
	publisher := &cluster.Publisher{
		API: apiOf(client), Namespace: namespace, ClusterDomain: "cluster-a.local",
		Documents: documents.NewSet("cluster-a.local", time.Now),
		Metrics:   telemetry.NewMetrics(),
		Log:       slog.New(slog.NewJSONHandler(logs, nil)),
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- publisher.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-stopped:
			if err != nil {
				t.Errorf("Run() = %v", err)
			}
		case <-time.After(peerstest.Deadline):
			t.Error("the publisher does not stop")
		}
	})
	return publishing{publisher, client, logs}
}

func (f publishing) waitReady(t *testing.T) {
	t.Helper()
	peerstest.Await(t, func() string {
		if err := f.Ready(); err != nil {
			return err.Error()
		}
		return ""
	})
}

func (f publishing) waitFederation(t *testing.T, has func(body string) bool) {
	t.Helper()
	peerstest.Await(t, func() string {
		version := f.Documents.Federation.Current()
		if version == nil {
			return "there is no federation document"
		}
		if !has(string(version.Body)) {
			return "federation document: " + string(version.Body)
		}
		return ""
	})
}

func contains(text string) func(string) bool {
	return func(body string) bool { return strings.Contains(body, text) }
}

func lacks(text string) func(string) bool {
	return func(body string) bool { return !strings.Contains(body, text) }
}

func settings(t *testing.T, gateways string) *corev1.ConfigMap {
	t.Helper()
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: cluster.ConfigMapName, Namespace: namespace},
		Data: map[string]string{
			documents.PublicKey:          peerstest.NewPeer(t, "a").PublicJSON(t),
			documents.IngressGatewaysKey: gateways,
		},
	}
}

func service(name, port string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop", Labels: map[string]string{v1alpha1.PublicServiceLabel: ""}},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": name}, Ports: []corev1.ServicePort{{Name: port, Port: 80}}},
	}
}

const gateways = `[{"address":"10.0.0.1","port":15443}]`

func TestTheFederationDocumentFollowsServicesAndConfigMap(t *testing.T) {
	ctx := context.Background()
	f := start(t, fake.NewClientset(settings(t, gateways), service("web", "http")))
	f.waitReady(t)
	f.waitFederation(t, contains("web.shop.svc.cluster-a.local"))

	if _, err := f.client.CoreV1().Services("shop").Create(ctx, service("api", "grpc"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.waitFederation(t, contains("api.shop.svc.cluster-a.local"))
	if _, err := f.client.CoreV1().Services("shop").Update(ctx, service("api", "http2"), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.waitFederation(t, contains(`"protocol":"HTTP2"`))
	if err := f.client.CoreV1().Services("shop").Delete(ctx, "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	f.waitFederation(t, lacks("web.shop"))
	if _, err := f.client.CoreV1().ConfigMaps(namespace).Update(ctx, settings(t, `[{"address":"10.0.0.9","port":30443}]`), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.waitFederation(t, contains("10.0.0.9"))
}

func TestADeletedConfigMapLeavesItsLastContentInForce(t *testing.T) {
	ctx := context.Background()
	f := start(t, fake.NewClientset(settings(t, gateways)))
	f.waitReady(t)
	if err := f.client.CoreV1().ConfigMaps(namespace).Delete(ctx, cluster.ConfigMapName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	peerstest.Await(t, func() string {
		if testutil.ToFloat64(f.Metrics.SourceInvalid.WithLabelValues("ConfigMap "+cluster.ConfigMapName)) != 1 {
			return "the missing ConfigMap is not noticed"
		}
		return ""
	})
	if _, err := f.client.CoreV1().Services("shop").Create(ctx, service("web", "http"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.waitFederation(t, contains("web.shop"))
	f.waitFederation(t, contains("10.0.0.1"))
	if f.Documents.Public.Current() == nil {
		t.Error("the public document is missing")
	}
}

func TestARejectedServiceIsLoggedOnceAndCounted(t *testing.T) {
	ctx := context.Background()
	f := start(t, fake.NewClientset(settings(t, gateways), service("bad", "")))
	f.waitReady(t)
	gauge := f.Metrics.RejectedServices
	if got := testutil.ToFloat64(gauge.WithLabelValues("shop", "bad", "UnnamedPort")); got != 1 {
		t.Errorf("rejected_services = %v", got)
	}
	for _, name := range []string{"one", "two"} {
		if _, err := f.client.CoreV1().Services("shop").Create(ctx, service(name, "http"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		f.waitFederation(t, contains(name+".shop"))
	}
	if got := strings.Count(f.logs.String(), "port 80 of Service shop/bad is not published"); got != 1 {
		t.Errorf("logged %d times:\n%s", got, f.logs)
	}
	if _, err := f.client.CoreV1().Services("shop").Update(ctx, service("bad", "http"), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.waitFederation(t, contains("bad.shop"))
	peerstest.Await(t, func() string {
		if got := testutil.CollectAndCount(gauge); got != 0 {
			return fmt.Sprintf("%d series of rejected services", got)
		}
		return ""
	})
}

func TestADroppedGatewayIsLoggedOnce(t *testing.T) {
	ctx := context.Background()
	f := start(t, fake.NewClientset(settings(t, `[{"address":"0.0.0.0","port":1},{"address":"10.0.0.1","port":15443}]`)))
	f.waitFederation(t, contains("10.0.0.1"))
	if _, err := f.client.CoreV1().Services("shop").Create(ctx, service("one", "http"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.waitFederation(t, contains("one.shop"))
	if _, err := f.client.CoreV1().ConfigMaps(namespace).Update(ctx, settings(t, `[{"address":"10.0.0.2","port":15443}]`), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.waitFederation(t, contains("10.0.0.2"))
	peerstest.Await(t, func() string {
		logs := f.logs.String()
		if strings.Count(logs, "address 0.0.0.0 cannot be reached") != 1 || !strings.Contains(logs, "all ingress gateways are published again") {
			return "logs:\n" + logs
		}
		return ""
	})
}

func TestNotReadyUntilEverySourceWasListed(t *testing.T) {
	for _, resource := range []string{"services", "configmaps", "endpointslices", "pods"} {
		t.Run(resource, func(t *testing.T) {
			client := fake.NewClientset(settings(t, gateways), service("web", "http"))
			var (
				rejected = make(chan struct{})
				once     sync.Once
			)
			client.PrependReactor("list", resource, func(kubetesting.Action) (bool, runtime.Object, error) {
				once.Do(func() { close(rejected) })
				return true, nil, errors.New("forbidden")
			})
			f := start(t, client)
			select {
			case <-rejected:
			case <-time.After(peerstest.Deadline):
				t.Fatal("never listed")
			}
			peerstest.Await(t, func() string {
				if !strings.Contains(f.logs.String(), "list or watch failed") {
					return "the failure is not logged"
				}
				return ""
			})
			if f.Ready() == nil || f.Documents.Federation.Current() != nil || f.Documents.Public.Current() != nil {
				t.Errorf("Ready() = %v with documents", f.Ready())
			}
		})
	}
}

func TestTheAPIServerIsAskedForNoMoreThanNeeded(t *testing.T) {
	f := start(t, fake.NewClientset(settings(t, gateways)))
	f.waitReady(t)
	want := map[string]string{
		"services":   "labels=" + v1alpha1.PublicServiceLabel + " fields= namespace=",
		"configmaps": "labels= fields=metadata.name=" + cluster.ConfigMapName + " namespace=" + namespace,

		"endpointslices": "labels=" + v1alpha1.PublicServiceLabel + " fields= namespace=",
		"pods":           "labels=security.istio.io/tlsMode=istio fields= namespace=",
	}
	for _, action := range f.client.Actions() {
		var restrictions kubetesting.ListRestrictions
		switch action := action.(type) {
		case kubetesting.ListAction:
			restrictions = action.GetListRestrictions()
		case kubetesting.WatchAction:
			watch := action.GetWatchRestrictions()
			restrictions = kubetesting.ListRestrictions{Labels: watch.Labels, Fields: watch.Fields}
		default:
			t.Errorf("unexpected %s %s", action.GetVerb(), action.GetResource().Resource)
			continue
		}
		got := fmt.Sprintf("labels=%s fields=%s namespace=%s", restrictions.Labels, restrictions.Fields, action.GetNamespace())
		if resource := action.GetResource().Resource; got != want[resource] {
			t.Errorf("%s %s: %s, want %s", action.GetVerb(), resource, got, want[resource])
		}
	}
}
