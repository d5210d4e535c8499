package cluster_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/cluster"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/documents"
	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/telemetry"
	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/peers"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

// unpublishable is a headless Service with 20,000 UDP ports, which a real API server accepts.
func unpublishable(number int) *corev1.Service {
	made := service(fmt.Sprint("hostile-", number), "")
	made.Namespace = "tenant"
	made.Spec.ClusterIP, made.Spec.Ports = corev1.ClusterIPNone, nil
	for port := range int32(20_000) {
		made.Spec.Ports = append(made.Spec.Ports, corev1.ServicePort{Name: fmt.Sprint("p", port), Port: port + 1, Protocol: corev1.ProtocolUDP})
	}
	return made
}

// stuck is a log that blocks the first goroutine which reports a rejected Service, until it is released.
type stuck struct {
	slog.Handler
	blocked, release chan struct{}
}

func (s *stuck) Handle(ctx context.Context, record slog.Record) error {
	if strings.Contains(record.Message, "is not published") {
		select {
		case <-s.blocked:
		default:
			close(s.blocked)
		}
		<-s.release
	}
	return s.Handler.Handle(ctx, record)
}

func TestRevocationWaitsForNoUpdateOfTheDocuments(t *testing.T) {
	b := peerstest.NewPeer(t, "b")
	resource := b.Resource(v1alpha1.IstioFederationKind)
	client := fake.NewClientset(settings(t, gateways), service("bad", ""), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: peers.SecretName, Namespace: namespace},
		Data:       map[string][]byte{peers.SecretKey: peerstest.JSON(t, peerstest.Entries(resource.Kind, b))},
	})
	resources := peerstest.NewResources(t, resource)
	log := &stuck{slog.NewTextHandler(io.Discard, nil), make(chan struct{}), make(chan struct{})}
	metrics := telemetry.NewMetrics()
	registry := peers.NewRegistry(resource.Kind)
	api := apiOf(client)
	syncer, err := peers.NewSyncer(registry, peers.Cluster{Secrets: api.Secrets, Namespace: namespace, Resources: resources},
		metrics.Peers, prometheus.NewGauge(prometheus.GaugeOpts{}), slog.New(log))
	if err != nil {
		t.Fatal(err)
	}
	publisher := &cluster.Publisher{
		API: api, Namespace: namespace, ClusterDomain: "cluster-a.local",
		Documents: documents.NewSet("cluster-a.local", time.Now), Metrics: metrics, Log: slog.New(log),
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 2)
	for _, run := range []func(context.Context) error{syncer.Run, publisher.Run} {
		go func() { stopped <- run(ctx) }()
	}
	t.Cleanup(func() {
		close(log.release)
		cancel()
		for range 2 {
			if err := <-stopped; err != nil {
				t.Error(err)
			}
		}
	})
	await := func(count int) {
		t.Helper()
		peerstest.Await(t, func() string {
			if got := registry.Current().Len(); got != count {
				return fmt.Sprintf("%d peers, want %d", got, count)
			}
			return ""
		})
	}
	await(1)
	select {
	case <-log.blocked:
	case <-time.After(peerstest.Deadline):
		t.Fatal("the rejected Service is not reported")
	}
	resources.Delete(resource.Kind, resource.Name)
	await(0)
}

func TestAnUpdateWithManyUnpublishablePortsTakesLinearTime(t *testing.T) {
	hostile := make([]*corev1.Service, 0, 5)
	client := fake.NewClientset(settings(t, gateways))
	for number := range 5 {
		hostile = append(hostile, unpublishable(number))
	}
	for _, each := range hostile {
		if err := client.Tracker().Add(each); err != nil {
			t.Fatal(err)
		}
	}
	f := start(t, client)
	f.waitReady(t)
	for round := range 3 {
		changed := hostile[0].DeepCopy()
		changed.Spec.Ports[round].Name = fmt.Sprint("changed", round)
		if _, err := f.client.CoreV1().Services("tenant").Update(t.Context(), changed, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		honest := fmt.Sprint("honest-", round)
		if _, err := f.client.CoreV1().Services("shop").Create(t.Context(), service(honest, "http"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		// Comparing each rejection with each took 15 seconds for one update, longer than this waits; linear work takes some 0.1.
		f.waitFederation(t, contains(honest+".shop"))
	}
}
