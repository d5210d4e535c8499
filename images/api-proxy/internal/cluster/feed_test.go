package cluster_test

import (
	"bytes"
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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"

	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/callers"
	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/cluster"
	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/fixture"
	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/telemetry"
	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/presence"
	"github.com/deckhouse-mesh/istio/lib/presence/presencetest"
)

const namespace = "d8-istio"

type running struct {
	*cluster.Feed
	client    *fake.Clientset
	resources *presencetest.Cluster
	logs      *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

// start feeds from a cluster that has these resources.
func start(t *testing.T, client *fake.Clientset, existing ...presence.Resource) running {
	t.Helper()
	return startWith(t, client, presencetest.NewCluster(t, existing...))
}

func startWith(t *testing.T, client *fake.Clientset, resources *presencetest.Cluster) running {
	t.Helper()
	logs := &lockedBuffer{}
	feed := &cluster.Feed{
		Client: client, Resources: resources, Namespace: namespace, Neighbours: callers.NewRegistry(),
		Metrics: telemetry.NewMetrics(time.Now), Log: slog.New(slog.NewTextHandler(logs, nil)),
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- feed.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
	return running{feed, client, resources, logs}
}

func (r running) waitCount(t *testing.T, want int) {
	t.Helper()
	fixture.Eventually(t, func() string {
		if got := testutil.ToFloat64(r.Metrics.Neighbours); r.Ready() != nil || r.Neighbours.Len() != want || got != float64(want) {
			return fmt.Sprintf("%d neighbours (metric %v), ready %v; want %d", r.Neighbours.Len(), got, r.Ready(), want)
		}
		return ""
	})
}

func (r running) waitInvalid(t *testing.T, want float64) {
	t.Helper()
	fixture.Eventually(t, func() string {
		if got := testutil.ToFloat64(r.Metrics.SourceInvalid); got != want {
			return fmt.Sprintf("source_invalid = %v, want %v", got, want)
		}
		return ""
	})
}

func secret(content []byte) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: cluster.SecretName, Namespace: namespace},
		Data:       map[string][]byte{callers.SecretKey: content},
	}
}

func TestNeighboursFollowTheSecret(t *testing.T) {
	ctx := t.Context()
	b, c := fixture.NewCluster(t, "uuid-b"), fixture.NewCluster(t, "uuid-c")
	federated := fixture.NewCluster(t, "uuid-f")
	r := start(t, fake.NewClientset(), resourceOf(b), resourceOf(c), federated.Resource(v1alpha1.IstioFederationKind, "f"))
	r.waitCount(t, 0) // no Secret is no neighbour, and nothing to wait for
	secrets := r.client.CoreV1().Secrets(namespace)
	update := func(secret *corev1.Secret) {
		t.Helper()
		if _, err := secrets.Update(ctx, secret, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := secrets.Create(ctx, secret(fixture.Metadata(t, b, c)), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	r.waitCount(t, 2)
	update(secret(fixture.JSON(t, map[string]any{
		b.UUID: b.Entry(v1alpha1.IstioMulticlusterKind, b.UUID), federated.UUID: federated.Entry(v1alpha1.IstioFederationKind, "f"),
	})))
	r.waitCount(t, 1)
	for _, bad := range []*corev1.Secret{secret([]byte("rubbish")), {ObjectMeta: secret(nil).ObjectMeta}} {
		update(bad)
		r.waitInvalid(t, 1)
		r.waitCount(t, 1) // as they were
		update(secret(fixture.Metadata(t, b)))
		r.waitInvalid(t, 0)
	}
	if err := secrets.Delete(ctx, cluster.SecretName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.waitCount(t, 0)
	if logs := r.logs.String(); strings.Contains(logs, "PUBLIC KEY") || strings.Contains(logs, "BEGIN CERTIFICATE") || !strings.Contains(logs, "neighbours changed") {
		t.Errorf("logs:\n%s", logs)
	}
}

// resourceOf is the IstioMulticluster of a cluster in fixture.Metadata.
func resourceOf(cluster fixture.Cluster) presence.Resource {
	return cluster.Resource(v1alpha1.IstioMulticlusterKind, cluster.UUID)
}

func TestNeighboursFollowTheirResources(t *testing.T) {
	b, c := fixture.NewCluster(t, "uuid-b"), fixture.NewCluster(t, "uuid-c")
	ofB, ofC := resourceOf(b), resourceOf(c)
	r := start(t, fake.NewClientset(secret(fixture.Metadata(t, b, c))), ofB, ofC)
	r.waitCount(t, 2)

	r.resources.Delete(ofB.Kind, ofB.Name)
	r.waitCount(t, 1)
	if logs := r.logs.String(); !strings.Contains(logs, "resourceGone") || !strings.Contains(logs, ofB.Name) {
		t.Errorf("nobody says whose resource is gone:\n%s", logs)
	}
	successor := ofB
	successor.UID = "another"
	r.resources.Create(successor)
	r.resources.BeginDeletion(ofC.Kind, ofC.Name)
	r.waitCount(t, 0)

	r.resources.Delete(successor.Kind, successor.Name)
	r.resources.Create(ofB)
	r.waitCount(t, 1)

	r.resources.Fail(errors.New("connection refused"))
	fixture.Eventually(t, func() string {
		if !strings.Contains(r.logs.String(), "connection refused") {
			return "the failure is not logged"
		}
		return ""
	})
	r.waitCount(t, 1) // as they were
}

func TestNotReadyUntilItIsKnownWhichResourcesExist(t *testing.T) {
	b := fixture.NewCluster(t, "uuid-b")
	resources := presencetest.NewCluster(t, resourceOf(b))
	resources.Fail(errors.New("forbidden by RBAC"))
	r := startWith(t, fake.NewClientset(secret(fixture.Metadata(t, b))), resources)
	fixture.Eventually(t, func() string {
		if err := r.Ready(); err == nil || !strings.Contains(err.Error(), "istiomulticlusters") || !strings.Contains(err.Error(), "forbidden by RBAC") {
			return fmt.Sprintf("Ready() = %v", err)
		}
		return ""
	})
	if r.Neighbours.Len() != 0 {
		t.Error("there are neighbours")
	}
	resources.Fail(nil)
	r.waitCount(t, 1)
}

func TestNotReadyUntilTheSecretWasLookedFor(t *testing.T) {
	client := fake.NewClientset(secret(fixture.Metadata(t, fixture.NewCluster(t, "uuid-b"))))
	client.PrependReactor("list", "secrets", func(kubetesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("forbidden by RBAC")
	})
	r := start(t, client)
	fixture.Eventually(t, func() string {
		if err := r.Ready(); err == nil || !strings.Contains(err.Error(), "forbidden by RBAC") {
			return fmt.Sprintf("Ready() = %v", err)
		}
		return ""
	})
	if r.Neighbours.Len() != 0 {
		t.Error("there are neighbours")
	}
}

func TestOnlyTheOneSecretAndIstioMulticlustersAreAskedFor(t *testing.T) {
	r := start(t, fake.NewClientset())
	r.waitCount(t, 0)
	for _, action := range r.client.Actions() {
		fields := ""
		switch action := action.(type) {
		case kubetesting.ListAction:
			fields = action.GetListRestrictions().Fields.String()
		case kubetesting.WatchAction:
			fields = action.GetWatchRestrictions().Fields.String()
		}
		if action.GetResource().Resource != "secrets" || action.GetNamespace() != namespace || fields != "metadata.name="+cluster.SecretName {
			t.Errorf("%s %s in %q, fields %q", action.GetVerb(), action.GetResource().Resource, action.GetNamespace(), fields)
		}
	}
	for _, action := range r.resources.Actions() {
		if verb, resource := action.GetVerb(), action.GetResource().Resource; resource != v1alpha1.IstioMulticlusterResource || verb != "list" && verb != "watch" {
			t.Errorf("%s %s", verb, resource)
		}
	}
}
