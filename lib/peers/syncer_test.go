package peers_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/informer"
	"github.com/deckhouse-mesh/istio/lib/peers"
	"github.com/deckhouse-mesh/istio/test/support/logtest"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

const namespace = "d8-istio"

// syncing is a Syncer that runs, and the fake API server that it reads.
type syncing struct {
	*peers.Syncer
	registry       *peers.Registry
	client         *fake.Clientset
	resources      *peerstest.Resources
	logs           *logtest.Buffer
	count, invalid prometheus.Gauge
}

// secrets reads from the fake clientset, which cannot stream a first list.
type secrets struct {
	informer.Reader[*corev1.SecretList]
}

func (secrets) IsWatchListSemanticsUnSupported() bool { return true }

func start(t *testing.T, client *fake.Clientset, resources *peerstest.Resources, kinds ...string) syncing {
	t.Helper()
	if len(kinds) == 0 {
		kinds = []string{federationKind, multiclusterKind}
	}
	s := syncing{
		registry: peers.NewRegistry(kinds...), client: client, resources: resources, logs: &logtest.Buffer{},
		count: prometheus.NewGauge(prometheus.GaugeOpts{Name: "count"}), invalid: prometheus.NewGauge(prometheus.GaugeOpts{Name: "invalid"}),
	}
	var err error
	s.Syncer, err = peers.NewSyncer(s.registry, peers.Cluster{
		Secrets: secrets{client.CoreV1().Secrets(namespace)}, Namespace: namespace, Resources: resources,
	}, s.count, s.invalid, slog.New(slog.NewTextHandler(s.logs, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-stopped:
			if err != nil {
				t.Errorf("Run() = %v", err)
			}
		case <-time.After(peerstest.Deadline):
			t.Error("the syncer does not stop")
		}
	})
	return s
}

// awaitPeers waits until those clusters are the peers with rights, and no others.
func (s syncing) awaitPeers(t *testing.T, want ...peerstest.Peer) {
	t.Helper()
	peerstest.Await(t, func() string {
		now := s.registry.Current()
		if err := s.Ready(); err != nil {
			return err.Error()
		}
		if metric := testutil.ToFloat64(s.count); now.Len() != len(want) || metric != float64(len(want)) {
			return fmt.Sprintf("%d peers (metric %v), want %d", now.Len(), metric, len(want))
		}
		for _, each := range want {
			if now.Lookup(each.UUID) == nil {
				return each.UUID + " is missing"
			}
		}
		return ""
	})
}

func (s syncing) awaitInvalid(t *testing.T, want float64) {
	t.Helper()
	peerstest.Await(t, func() string {
		if got := testutil.ToFloat64(s.invalid); got != want {
			return fmt.Sprintf("the metric of invalid sources is %v, want %v", got, want)
		}
		return ""
	})
}

func (s syncing) awaitLog(t *testing.T, text string) {
	t.Helper()
	peerstest.Await(t, func() string {
		if !strings.Contains(s.logs.String(), text) {
			return fmt.Sprintf("%q is not logged:\n%s", text, s.logs)
		}
		return ""
	})
}

func secret(content []byte) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: peers.SecretName, Namespace: namespace},
		Data:       map[string][]byte{peers.SecretKey: content},
	}
}

// accepting is a Secret with b, accepted for an IstioFederation, and c, for an IstioMulticluster.
func accepting(t *testing.T, b, c peerstest.Peer) *corev1.Secret {
	t.Helper()
	return secret(peerstest.JSON(t, map[string]peers.Entry{b.UUID: b.Entry(federationKind), c.UUID: c.Entry(multiclusterKind)}))
}

func TestPeersFollowTheSecret(t *testing.T) {
	b, c := peerstest.NewPeer(t, "b"), peerstest.NewPeer(t, "c")
	s := start(t, fake.NewClientset(), peerstest.NewResources(t, b.Resource(federationKind), c.Resource(multiclusterKind)))
	s.awaitPeers(t) // without a Secret there are no peers, and nothing to wait for
	secrets := s.client.CoreV1().Secrets(namespace)
	update := func(secret *corev1.Secret) {
		t.Helper()
		if _, err := secrets.Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	good := accepting(t, b, c)
	if _, err := secrets.Create(t.Context(), good, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.awaitPeers(t, b, c)
	onlyB := secret(peerstest.JSON(t, peerstest.Entries(federationKind, b)))
	update(onlyB)
	s.awaitPeers(t, b)
	for _, bad := range []*corev1.Secret{secret([]byte("rubbish")), {ObjectMeta: good.ObjectMeta}} {
		update(bad)
		s.awaitInvalid(t, 1)
		s.awaitPeers(t, b) // as before
		update(onlyB)
		s.awaitInvalid(t, 0)
	}
	if err := secrets.Delete(t.Context(), peers.SecretName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.awaitPeers(t)
	if logs := s.logs.String(); strings.Contains(logs, "PUBLIC KEY") || strings.Contains(logs, "BEGIN CERTIFICATE") || !strings.Contains(logs, "peers changed") {
		t.Errorf("logs:\n%s", logs)
	}
}

func TestPeersFollowTheirResources(t *testing.T) {
	b, c := peerstest.NewPeer(t, "b"), peerstest.NewPeer(t, "c")
	ofB, ofC := b.Resource(federationKind), c.Resource(multiclusterKind)
	s := start(t, fake.NewClientset(accepting(t, b, c)), peerstest.NewResources(t, ofB, ofC))
	s.awaitPeers(t, b, c)

	s.resources.Delete(ofB.Kind, ofB.Name)
	s.awaitPeers(t, c)
	s.awaitLog(t, "deletedResources")
	s.awaitLog(t, ofB.Name)
	successor := ofB
	successor.UID = "another"
	s.resources.Create(successor)
	s.resources.BeginDeletion(ofC.Kind, ofC.Name)
	s.awaitPeers(t)

	s.resources.Replace(successor.Kind, successor.Name, ofB.UID)
	s.awaitPeers(t, b)
	s.resources.Replace(successor.Kind, successor.Name, "yet another")
	s.awaitPeers(t)
}

func TestAChangedStatusCausesNoSync(t *testing.T) {
	b, c := peerstest.NewPeer(t, "b"), peerstest.NewPeer(t, "c")
	s := start(t, fake.NewClientset(accepting(t, b, c)), peerstest.NewResources(t, b.Resource(federationKind)))
	s.awaitPeers(t, b)
	before := s.registry.Current()
	for round := range 5 {
		s.resources.Annotate(federationKind, b.Name, strconv.Itoa(round))
	}
	// Events come in order: after this one, those before it have been handled.
	s.resources.Create(federation("d", "2"))
	s.resources.Create(c.Resource(multiclusterKind))
	s.awaitPeers(t, b, c)
	if strings.Count(s.logs.String(), "peers changed") != 2 || !closed(before.Changed()) {
		t.Errorf("logs:\n%s", s.logs)
	}
}

func TestNotReadyUntilTheExistingResourcesAreKnown(t *testing.T) {
	b, c := peerstest.NewPeer(t, "b"), peerstest.NewPeer(t, "c")
	resources := peerstest.NewResources(t, b.Resource(federationKind), c.Resource(multiclusterKind))
	resources.Fail(errors.New("forbidden by RBAC"))
	s := start(t, fake.NewClientset(accepting(t, b, c)), resources)
	s.awaitLog(t, "no peer has rights before the first list")
	peerstest.Await(t, func() string {
		if err := s.Ready(); err == nil || !strings.Contains(err.Error(), "waiting for the first list of istio") || !strings.Contains(err.Error(), "forbidden by RBAC") {
			return fmt.Sprintf("Ready() = %v", err)
		}
		return ""
	})
	if got := s.registry.Current().Len(); got != 0 {
		t.Errorf("%d peers", got)
	}
	resources.Fail(nil)
	s.awaitPeers(t, b, c)
}

func TestNotReadyUntilTheSecretWasLookedFor(t *testing.T) {
	b, c := peerstest.NewPeer(t, "b"), peerstest.NewPeer(t, "c")
	client := fake.NewClientset(accepting(t, b, c))
	client.PrependReactor("list", "secrets", func(kubetesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("forbidden by RBAC")
	})
	s := start(t, client, peerstest.NewResources(t, b.Resource(federationKind)))
	peerstest.Await(t, func() string {
		if err := s.Ready(); err == nil || !strings.Contains(err.Error(), "Secret") || !strings.Contains(err.Error(), "forbidden by RBAC") {
			return fmt.Sprintf("Ready() = %v", err)
		}
		return ""
	})
	if got := s.registry.Current().Len(); got != 0 {
		t.Errorf("%d peers", got)
	}
}

func TestPeersStayWhileTheAPIServerCannotBeReached(t *testing.T) {
	b, c := peerstest.NewPeer(t, "b"), peerstest.NewPeer(t, "c")
	ofB, ofC := b.Resource(federationKind), c.Resource(multiclusterKind)
	s := start(t, fake.NewClientset(accepting(t, b, c)), peerstest.NewResources(t, ofB, ofC))
	s.awaitPeers(t, b, c)

	s.resources.Fail(errors.New("connection refused"))
	s.awaitLog(t, "connection refused")
	s.resources.Delete(ofB.Kind, ofB.Name) // unseen
	if err := s.Ready(); err != nil || s.registry.Current().Len() != 2 {
		t.Errorf("Ready() = %v, %d peers", err, s.registry.Current().Len())
	}
	s.resources.Fail(nil)
	s.awaitPeers(t, c)
}

func TestTheAPIServerIsAskedOnlyForTheSecretAndTheKindsThatGiveRights(t *testing.T) {
	c := peerstest.NewPeer(t, "c")
	s := start(t, fake.NewClientset(), peerstest.NewResources(t, c.Resource(multiclusterKind)), multiclusterKind)
	s.awaitPeers(t)
	for _, action := range s.client.Actions() {
		fields := ""
		switch action := action.(type) {
		case kubetesting.ListAction:
			fields = action.GetListRestrictions().Fields.String()
		case kubetesting.WatchAction:
			fields = action.GetWatchRestrictions().Fields.String()
		}
		if action.GetResource().Resource != "secrets" || action.GetNamespace() != namespace || fields != "metadata.name="+peers.SecretName {
			t.Errorf("%s %s in %q, fields %q", action.GetVerb(), action.GetResource().Resource, action.GetNamespace(), fields)
		}
	}
	for _, action := range s.resources.Actions() {
		if verb, resource := action.GetVerb(), action.GetResource().Resource; resource != v1alpha1.IstioMulticlusterResource || verb != "list" && verb != "watch" {
			t.Errorf("%s %s", verb, resource)
		}
	}
}

func TestOnlyTheTwoKindsGiveRights(t *testing.T) {
	_, err := peers.NewSyncer(peers.NewRegistry("Secret"), peers.Cluster{
		Secrets: fake.NewClientset().CoreV1().Secrets(namespace), Namespace: namespace, Resources: peerstest.NewResources(t),
	}, prometheus.NewGauge(prometheus.GaugeOpts{}), prometheus.NewGauge(prometheus.GaugeOpts{}), slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "kind Secret") {
		t.Errorf("err = %v", err)
	}
}
