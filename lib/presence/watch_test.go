package presence_test

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/logtest"
	"github.com/deckhouse-mesh/istio/lib/presence"
	"github.com/deckhouse-mesh/istio/lib/presence/presencetest"
)

// deadline is how long a test waits for what should come within milliseconds.
const deadline = 10 * time.Second

var bothKinds = []string{v1alpha1.IstioFederationKind, v1alpha1.IstioMulticlusterKind}

type watching struct {
	*presence.Watch
	t    *testing.T
	logs *logtest.Buffer
	// changes has one entry for each call of changed.
	changes chan struct{}
}

func start(t *testing.T, cluster *presencetest.Cluster, kinds ...string) watching {
	t.Helper()
	w := watching{t: t, logs: &logtest.Buffer{}, changes: make(chan struct{}, 1000)}
	var err error
	w.Watch, err = presence.NewWatch(cluster, kinds, slog.New(slog.NewTextHandler(w.logs, nil)), func() { w.changes <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(deadline):
			t.Error("the watch does not end")
		}
	})
	return w
}

// await waits, woken by changes, until these resources are there and no others.
func (w watching) await(want ...presence.Resource) {
	w.t.Helper()
	over := time.After(deadline)
	for {
		if w.Ready() == nil && w.Resources().Equal(presence.Of(want...)) {
			return
		}
		select {
		case <-w.changes:
		case <-time.After(5 * time.Millisecond): // the first list of nothing is no change
		case <-over:
			w.t.Fatalf("ready %v, resources %v, want %v", w.Ready(), w.Resources(), want)
		}
	}
}

// awaitCall waits for one call of changed.
func (w watching) awaitCall() {
	w.t.Helper()
	select {
	case <-w.changes:
	case <-time.After(deadline):
		w.t.Fatal("nobody tells")
	}
}

func (w watching) awaitLog(text string) {
	w.t.Helper()
	over := time.Now().Add(deadline)
	for !strings.Contains(w.logs.String(), text) {
		if time.Now().After(over) {
			w.t.Fatalf("nobody logs %q:\n%s", text, w.logs)
		}
		time.Sleep(2 * time.Millisecond) // between looks at the condition
	}
}

func TestResourcesAreThoseThatExist(t *testing.T) {
	cluster := presencetest.NewCluster(t, federation("b", "1"), multicluster("c", "2"))
	w := start(t, cluster, bothKinds...)
	w.await(federation("b", "1"), multicluster("c", "2"))

	cluster.Create(federation("d", "3"))
	w.await(federation("b", "1"), multicluster("c", "2"), federation("d", "3"))

	cluster.Delete(v1alpha1.IstioFederationKind, "b")
	w.await(multicluster("c", "2"), federation("d", "3"))

	cluster.Create(federation("b", "4"))
	w.await(federation("b", "4"), multicluster("c", "2"), federation("d", "3"))

	cluster.Replace(v1alpha1.IstioMulticlusterKind, "c", "5")
	w.await(federation("b", "4"), multicluster("c", "5"), federation("d", "3"))

	cluster.BeginDeletion(v1alpha1.IstioFederationKind, "b")
	w.await(multicluster("c", "5"), federation("d", "3"))
	cluster.Delete(v1alpha1.IstioFederationKind, "b")
	cluster.Delete(v1alpha1.IstioMulticlusterKind, "c")
	cluster.Delete(v1alpha1.IstioFederationKind, "d")
	w.await()
}

func TestEveryChangeOfWhatExistsIsTold(t *testing.T) {
	const kind = v1alpha1.IstioFederationKind
	for name, test := range map[string]struct {
		happens func(*presencetest.Cluster)
		left    []presence.Resource
	}{
		"a resource comes":            {func(c *presencetest.Cluster) { c.Create(federation("c", "2")) }, []presence.Resource{federation("b", "1"), federation("c", "2")}},
		"a resource goes":             {func(c *presencetest.Cluster) { c.Delete(kind, "b") }, nil},
		"a resource begins to go":     {func(c *presencetest.Cluster) { c.BeginDeletion(kind, "b") }, nil},
		"another one takes its place": {func(c *presencetest.Cluster) { c.Replace(kind, "b", "2") }, []presence.Resource{federation("b", "2")}},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := presencetest.NewCluster(t, federation("b", "1"))
			w := start(t, cluster, bothKinds...)
			w.awaitCall() // the first list
			w.await(federation("b", "1"))
			test.happens(cluster)
			w.awaitCall()
			if !w.Resources().Equal(presence.Of(test.left...)) {
				t.Errorf("when it is told, there are %v, want %v", w.Resources(), test.left)
			}
		})
	}
}

func TestAChangedStatusWakesNobody(t *testing.T) {
	cluster := presencetest.NewCluster(t, federation("b", "1"))
	w := start(t, cluster, bothKinds...)
	w.await(federation("b", "1"))
	for round := range 5 {
		cluster.Annotate(v1alpha1.IstioFederationKind, "b", strconv.Itoa(round))
	}
	// Events come in order: when this one has come, those before it have.
	cluster.Create(federation("d", "2"))
	w.await(federation("b", "1"), federation("d", "2"))
	if woken := len(w.changes); woken > 2 {
		t.Errorf("%d calls wait, of which two can be for resources that came", woken)
	}
}

func TestOnlyTheKindsThatAreWatchedExist(t *testing.T) {
	cluster := presencetest.NewCluster(t, federation("b", "1"), multicluster("c", "2"))
	w := start(t, cluster, v1alpha1.IstioMulticlusterKind)
	w.await(multicluster("c", "2"))
	for _, action := range cluster.Actions() {
		if action.GetResource().Resource != v1alpha1.IstioMulticlusterResource {
			t.Errorf("%s of %s", action.GetVerb(), action.GetResource())
		}
	}
}

func TestNothingIsKnownBeforeTheFirstListOfEveryKind(t *testing.T) {
	cluster := presencetest.NewCluster(t, federation("b", "1"))
	cluster.Fail(errors.New("forbidden by RBAC"))
	w := start(t, cluster, bothKinds...)
	w.awaitLog("forbidden by RBAC")
	if logged := w.logs.String(); strings.Contains(logged, "what is known stays") || !strings.Contains(logged, "nobody is known") {
		t.Errorf("logged before anything is known:\n%s", logged)
	}
	if err := w.Ready(); err == nil || w.Synced() || !strings.Contains(err.Error(), "waiting for the first list of istio") {
		t.Errorf("Ready() = %v, Synced() = %t", err, w.Synced())
	}
	if w.Resources().Have(federation("b", "1")) {
		t.Error("a resource is there that nobody has seen")
	}
	cluster.Fail(nil)
	w.await(federation("b", "1"))
}

func TestWhatIsKnownStaysWhileTheAPIServerIsAway(t *testing.T) {
	cluster := presencetest.NewCluster(t, federation("b", "1"), federation("c", "2"))
	w := start(t, cluster, bothKinds...)
	w.await(federation("b", "1"), federation("c", "2"))

	cluster.Fail(errors.New("connection refused"))
	w.awaitLog("connection refused")
	w.awaitLog("what is known stays")
	cluster.Delete(v1alpha1.IstioFederationKind, "b") // unseen
	if want := presence.Of(federation("b", "1"), federation("c", "2")); w.Ready() != nil || !w.Resources().Equal(want) {
		t.Errorf("ready %v, resources %v", w.Ready(), w.Resources())
	}
	cluster.Fail(nil)
	w.await(federation("c", "2"))
}

func TestOtherKindsJoinNobody(t *testing.T) {
	_, err := presence.NewWatch(presencetest.NewCluster(t), []string{"Secret"}, slog.Default(), func() {})
	if err == nil || !strings.Contains(err.Error(), "kind Secret") {
		t.Errorf("err = %v", err)
	}
}
