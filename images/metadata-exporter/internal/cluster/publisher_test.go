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
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/neighbours"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/telemetry"
	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/logtest"
	"github.com/deckhouse-mesh/istio/lib/peers"
	"github.com/deckhouse-mesh/istio/lib/peers/peerstest"
)

const namespace = "d8-istio"

type feeding struct {
	*cluster.Feed
	client    *fake.Clientset
	resources *peerstest.Resources
	logs      *logtest.Buffer
}

// fakeReader reads from the fake clientset, which cannot stream a first list.
type fakeReader[L runtime.Object] struct{ cluster.Reader[L] }

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

// start feeds from a cluster that has these resources, which join neighbours.
func start(t *testing.T, client *fake.Clientset, existing ...peers.Resource) feeding {
	t.Helper()
	return startWith(t, client, peerstest.NewResources(t, existing...))
}

func startWith(t *testing.T, client *fake.Clientset, resources *peerstest.Resources) feeding {
	t.Helper()
	logs := &logtest.Buffer{}
	feed := &cluster.Feed{
		API: apiOf(client), Resources: resources, Kinds: []string{v1alpha1.IstioFederationKind, v1alpha1.IstioMulticlusterKind},
		Namespace: namespace, ClusterDomain: "cluster-a.local",
		Documents:  documents.NewSet("cluster-a.local", time.Now),
		Neighbours: neighbours.New(),
		Metrics:    telemetry.NewMetrics(),
		Log:        slog.New(slog.NewJSONHandler(logs, nil)),
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- feed.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-stopped:
			if err != nil {
				t.Errorf("Run() = %v", err)
			}
		case <-time.After(peerstest.Deadline):
			t.Error("the feed does not stop")
		}
	})
	return feeding{feed, client, resources, logs}
}

func (f feeding) waitReady(t *testing.T) {
	t.Helper()
	peerstest.Await(t, func() string {
		if err := f.Ready(); err != nil {
			return err.Error()
		}
		return ""
	})
}

func (f feeding) waitFederation(t *testing.T, has func(body string) bool) {
	t.Helper()
	peerstest.Await(t, func() string {
		revision := f.Documents.Federation.Current()
		if revision == nil {
			return "there is no federation document"
		}
		if !has(string(revision.Body)) {
			return "federation document: " + string(revision.Body)
		}
		return ""
	})
}

func (f feeding) waitNeighbours(t *testing.T, want int) {
	t.Helper()
	peerstest.Await(t, func() string {
		if got, told := f.Neighbours.Len(), testutil.ToFloat64(f.Metrics.Neighbours); got != want || told != float64(want) {
			return fmt.Sprintf("%d neighbours (metric %v), want %d", got, told, want)
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

func secret(content string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: cluster.SecretName, Namespace: namespace},
		Data:       map[string][]byte{neighbours.SecretKey: []byte(content)},
	}
}

func service(name, port string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop", Labels: map[string]string{v1alpha1.PublicServiceLabel: ""}},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: port, Port: 80}}},
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

func TestNeighboursFollowTheSecret(t *testing.T) {
	ctx := context.Background()
	b := peerstest.NewPeer(t, "b")
	f := start(t, fake.NewClientset(settings(t, gateways)), b.Resource(v1alpha1.IstioFederationKind))
	f.waitReady(t)
	count := func(want int) {
		t.Helper()
		f.waitNeighbours(t, want)
	}
	count(0)
	secrets := f.client.CoreV1().Secrets(namespace)
	good := secret(peerstest.JSON(t, map[string]peers.Entry{b.UUID: b.Entry(v1alpha1.IstioFederationKind)}))
	if _, err := secrets.Create(ctx, good, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	count(1)

	for _, bad := range []*corev1.Secret{secret("rubbish"), {ObjectMeta: good.ObjectMeta}} {
		if _, err := secrets.Update(ctx, bad, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		peerstest.Await(t, func() string {
			if testutil.ToFloat64(f.Metrics.SourceInvalid.WithLabelValues("Secret "+cluster.SecretName)) != 1 {
				return "the bad Secret is not noticed"
			}
			return ""
		})
		count(1)
		if _, err := secrets.Update(ctx, good, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		peerstest.Await(t, func() string {
			if testutil.ToFloat64(f.Metrics.SourceInvalid.WithLabelValues("Secret "+cluster.SecretName)) != 0 {
				return "the good Secret is not noticed"
			}
			return ""
		})
	}
	if err := secrets.Delete(ctx, cluster.SecretName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	count(0)
}

func TestNeighboursFollowTheirResources(t *testing.T) {
	b, c := peerstest.NewPeer(t, "b"), peerstest.NewPeer(t, "c")
	ofB, ofC := b.Resource(v1alpha1.IstioFederationKind), c.Resource(v1alpha1.IstioMulticlusterKind)
	f := start(t, fake.NewClientset(settings(t, gateways), secret(peerstest.JSON(t, map[string]peers.Entry{
		b.UUID: b.Entry(ofB.Kind), c.UUID: c.Entry(ofC.Kind),
	}))), ofB, ofC)
	f.waitReady(t)
	f.waitNeighbours(t, 2)

	f.resources.Delete(ofB.Kind, ofB.Name)
	f.waitNeighbours(t, 1)
	if _, known := f.Neighbours.Lookup(c.UUID); !known {
		t.Error("the other one is gone")
	}
	if logs := f.logs.String(); !strings.Contains(logs, "resourceGone") || !strings.Contains(logs, ofB.Name) {
		t.Errorf("nobody says whose resource is gone:\n%s", logs)
	}
	successor := ofB
	successor.UID = "another"
	f.resources.Create(successor)
	f.resources.BeginDeletion(ofC.Kind, ofC.Name)
	f.waitNeighbours(t, 0)

	f.resources.Delete(successor.Kind, successor.Name)
	f.resources.Create(ofB)
	f.waitNeighbours(t, 1)
}

func TestNeighboursStayWhileTheAPIServerIsAway(t *testing.T) {
	b := peerstest.NewPeer(t, "b")
	resource := b.Resource(v1alpha1.IstioFederationKind)
	f := start(t, fake.NewClientset(settings(t, gateways), secret(peerstest.JSON(t, map[string]peers.Entry{b.UUID: b.Entry(resource.Kind)}))), resource)
	f.waitReady(t)
	f.waitNeighbours(t, 1)
	f.resources.Fail(errors.New("connection refused"))
	peerstest.Await(t, func() string {
		if !strings.Contains(f.logs.String(), "connection refused") {
			return "the failure is not logged"
		}
		return ""
	})
	if f.Ready() != nil || f.Neighbours.Len() != 1 {
		t.Errorf("Ready() = %v, %d neighbours", f.Ready(), f.Neighbours.Len())
	}
}

func TestNotReadyUntilItIsKnownWhichResourcesExist(t *testing.T) {
	b := peerstest.NewPeer(t, "b")
	resource := b.Resource(v1alpha1.IstioFederationKind)
	resources := peerstest.NewResources(t, resource)
	resources.Fail(errors.New("forbidden"))
	f := startWith(t, fake.NewClientset(settings(t, gateways), secret(peerstest.JSON(t, map[string]peers.Entry{b.UUID: b.Entry(resource.Kind)}))), resources)
	peerstest.Await(t, func() string {
		if !strings.Contains(f.logs.String(), "forbidden") {
			return "the failure is not logged"
		}
		return ""
	})
	if f.Ready() == nil || f.Neighbours.Len() != 0 || f.Documents.Public.Current() != nil {
		t.Errorf("Ready() = %v, %d neighbours", f.Ready(), f.Neighbours.Len())
	}
	resources.Fail(nil)
	f.waitReady(t)
	f.waitNeighbours(t, 1)
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
		t.Error("the public document is gone")
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
	for _, resource := range []string{"services", "configmaps", "secrets", "endpointslices", "pods"} {
		t.Run(resource, func(t *testing.T) {
			client := fake.NewClientset(settings(t, gateways), service("web", "http"))
			var (
				refused = make(chan struct{})
				once    sync.Once
			)
			client.PrependReactor("list", resource, func(kubetesting.Action) (bool, runtime.Object, error) {
				once.Do(func() { close(refused) })
				return true, nil, errors.New("forbidden")
			})
			f := start(t, client)
			select {
			case <-refused:
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
		"secrets":    "labels= fields=metadata.name=" + cluster.SecretName + " namespace=" + namespace,

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

func TestSecretsAreNotLogged(t *testing.T) {
	b := peerstest.NewPeer(t, "b")
	content := peerstest.JSON(t, map[string]peers.Entry{b.UUID: b.Entry(v1alpha1.IstioFederationKind)})
	f := start(t, fake.NewClientset(settings(t, gateways), secret(content)), b.Resource(v1alpha1.IstioFederationKind))
	f.waitReady(t)
	if logs := f.logs.String(); strings.Contains(logs, "PUBLIC KEY") || strings.Contains(logs, "CERTIFICATE") || !strings.Contains(logs, "neighbours changed") {
		t.Errorf("logs:\n%s", logs)
	}
}
