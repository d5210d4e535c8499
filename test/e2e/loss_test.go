//go:build e2e

package e2e

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// disturbance is something that happens in production while requests cross the clusters.
type disturbance struct {
	name string
	// happen brings it about, and returns once it has ended.
	happen func(t *testing.T)
	// failed requests and broken streams are tolerated up to these numbers; docs/TRAFFIC.md gives the reason.
	failed, broken int
}

// TestNoRequestIsLostWhileTheControlPlaneIsDisturbed: nothing of the module but the
// gateways and sidecars is on a request's way.
func TestNoRequestIsLostWhileTheControlPlaneIsDisturbed(t *testing.T) {
	load := startLoad(t)
	for _, each := range []disturbance{
		{name: "the module's programs are killed", happen: killPrograms},
		{name: "istiod is killed in both clusters", happen: killIstiods},
		{name: "the peer's services change", happen: func(t *testing.T) { t.Helper(); changeServices(t, 50) }},
		{name: "the API servers are killed", happen: killAPIServers},
		{name: "federation with another peer is switched on and off", happen: federateAnother},
	} {
		load.withstands(t, each)
	}
	load.endsWithoutMore(t)
}

// withstands fails the test when the disturbance costs more than is tolerated.
func (l *crossingLoad) withstands(t *testing.T, disturbance disturbance) {
	t.Helper()
	t.Run(disturbance.name, func(t *testing.T) {
		found := l.during(t, disturbance.happen)
		t.Log(found)
		if len(found.failed) > disturbance.failed {
			t.Errorf("%d requests failed, %d are tolerated", len(found.failed), disturbance.failed)
		}
		if len(found.broken) > disturbance.broken {
			t.Errorf("%d streams broke, %d are tolerated", len(found.broken), disturbance.broken)
		}
	})
}

// killPrograms of the module in both clusters, all but istiod and the gateways.
func killPrograms(t *testing.T) {
	t.Helper()
	for _, cluster := range []*cluster{suite.a, suite.b} {
		for _, program := range []component{operator, exporter, watcher} {
			cluster.kill(t, program)
		}
	}
	awaitPeers(t)
}

func killIstiods(t *testing.T) {
	t.Helper()
	for _, cluster := range []*cluster{suite.a, suite.b} {
		cluster.kill(t, istiodOf(defaultIstio()))
	}
}

func killAPIServers(t *testing.T) {
	t.Helper()
	for _, cluster := range []*cluster{suite.a, suite.b} {
		cluster.killOnNode(t, "kube-apiserver")
	}
	awaitPeers(t)
}

// freezeAPIServers of both clusters for as long as given.
func freezeAPIServers(t *testing.T, away time.Duration) {
	t.Helper()
	var frozen []int
	thaw := func() {
		for _, pid := range frozen {
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}
	}
	t.Cleanup(thaw)
	for _, cluster := range []*cluster{suite.a, suite.b} {
		frozen = append(frozen, cluster.nodeProcesses(t, "kube-apiserver")...)
	}
	for _, pid := range frozen {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	<-time.After(away) // the disturbance itself
	thaw()
	awaitPeers(t)
}

// changeServices publishes Services of cluster-b and withdraws them, as many changes as given, and waits for the last.
func changeServices(t *testing.T, changes int) {
	t.Helper()
	namespace := suite.b.namespace(t)
	const names = 10
	for i := range names {
		suite.b.service(t, namespace, fmt.Sprintf("web-%d", i))
	}
	for i := range changes {
		suite.b.label(t, namespace, fmt.Sprintf("web-%d", i%names), i/names%2 == 0)
	}
	last := suite.b.publish(t, namespace, "last")
	suite.a.awaitImported(t, last, scheduled)
}

// federateAnother has both clusters federate with one more peer for a moment.
func federateAnother(t *testing.T) {
	t.Helper()
	peer := newFakePeer(t, "another.example")
	for _, cluster := range []*cluster{suite.a, suite.b} {
		cluster.federate(t, peer.federation("another"))
	}
	for _, cluster := range []*cluster{suite.a, suite.b} {
		cluster.awaitImported(t, peer.hostname(), scheduled)
		cluster.defederate(t, "another")
		cluster.awaitForgotten(t, peer.hostname(), scheduled)
	}
}
