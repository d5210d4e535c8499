//go:build e2e

package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/healthcheck"
)

// TestThreeClusters of one mesh share a Service, each with both others; what disturbs more comes last. Of one part:
// `make three-clusters RUN=TestThreeClusters/AServiceOfAllIsBalancedOverAll`.
func TestThreeClusters(t *testing.T) {
	if !*threeClusters {
		t.Skip("it has a lab of its own: make three-clusters")
	}
	m := newThreeMesh(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T, *threeMesh)
	}{
		{"EveryClusterAnswersBothOthers", threeAnswerEachOther},
		{"PodsAreReachedByGatewaysOnly", threeReachPodsByGatewaysOnly},
		{"AServiceOfAllIsBalancedOverAll", threeBalance},
		{"RequestsStayAtHomeAndGoToBothOthersWhenNobodyIsThere", threeStayAtHome},
		{"NothingIsLostWhileTheControlPlaneIsKilled", threeLoseNothing},
		{"AClusterWithoutTheHealthcheckIsUnknownToBothOthers", threeWithoutHealthcheck},
		{"AClusterThatIsCutOffCostsWhatIsInFlightAndComesBack", threeCutOff},
		{"AClusterThatLeavesIsNotCalledAndComesBack", threeLeave},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, m) })
	}
}

// awaitWay waits until the condition of the way to the peer has the status and the reason.
func (c *cluster) awaitWay(t *testing.T, peer *cluster, status, reason string) {
	t.Helper()
	c.awaitDataplane(t, multiclusters, peer.name, status, reason, "", restarted)
}

func threeAnswerEachOther(t *testing.T, m *threeMesh) {
	t.Helper()
	for _, c := range m.clusters() {
		for _, peer := range m.others(c) {
			c.awaitWay(t, peer, "True", healthcheck.ReasonAnswers)
		}
	}
}

// threeReachPodsByGatewaysOnly: a Pod without a sidecar has no road to a Pod of another cluster; the proxies have one.
func threeReachPodsByGatewaysOnly(t *testing.T, m *threeMesh) {
	t.Helper()
	bare := m.a.enterPod(t, m.a.runReady(t, newPod(m.namespace, "bare", map[string]string{"sidecar.istio.io/inject": "false"}, nil)))
	for _, peer := range m.others(m.a) {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		connection, err := bare.dialIP(ctx, "tcp", endpointOf(m.servers[peer]))
		cancel()
		if err == nil {
			_ = connection.Close()
			t.Errorf("a Pod of %s reaches a Pod of %s directly: this lab shows nothing about gateways", m.a.name, peer.name)
		}
	}
	for _, c := range m.clusters() {
		addresses := []string{endpointOf(m.servers[c])}
		for _, peer := range m.others(c) {
			addresses = append(addresses, c.gatewayOf(t, peer))
		}
		awaitWithin(t, scheduled, c.sidecar(t, m.callers[c].Pod, defaultIstio()), c.name+" calls its own Pod and both gateways",
			sendsTo(m.host, addresses...))
	}
}

func threeBalance(t *testing.T, m *threeMesh) {
	t.Helper()
	own := m.a.spiffe(t, m.namespace, "default")
	for _, from := range m.clusters() {
		m.sharesOut(t, "all three answer", from, m.clusters()...)
		for _, server := range m.clusters() {
			eventually(t, scheduled, server.name+" proves who it is to "+from.name, func() string {
				got, err := m.callers[from].get("http://" + m.host + "/")
				if err != nil {
					return err.Error()
				}
				return between(own, own, m.servers[server].Name)(got)
			})
		}
	}
}

func threeStayAtHome(t *testing.T, m *threeMesh) {
	t.Helper()
	for _, c := range m.clusters() {
		c.distribute(t, m.namespace, `"PreferClose"`)
		t.Cleanup(func() { c.distribute(t, m.namespace, "null") })
	}
	for _, from := range m.clusters() {
		m.sharesOut(t, "they stay at home", from, from)
	}
	startAnother := m.replaceServer(t, m.a)
	m.sharesOut(t, "both others answer when nobody does at home", m.a, m.b, m.c)
	startAnother()
	m.sharesOut(t, "they stay at home again", m.a, m.a)
	for _, c := range m.clusters() {
		c.distribute(t, m.namespace, "null")
	}
	m.sharesOut(t, "all three answer again", m.a, m.clusters()...)
}

// threeLoseNothing: no request passes what is killed.
func threeLoseNothing(t *testing.T, m *threeMesh) {
	t.Helper()
	for _, one := range []struct {
		of      *cluster
		program component
	}{
		{m.c, apiProxy}, {m.c, istiodOf(defaultIstio())}, {m.a, istiodOf(defaultIstio())}, {m.c, exporter}, {m.a, watcher}, {m.a, operator},
	} {
		t.Run(one.program.name+" of "+one.of.name, func(t *testing.T) {
			running := m.callers[m.a].keepAsking(m.host)
			t.Cleanup(func() { running.stop() })
			one.of.kill(t, one.program)
			m.awaitPeers(t)
			for _, c := range m.clusters() {
				running.awaitMore(t, m.servers[c].Name)
			}
			if failed := running.stop(); failed > 0 {
				t.Errorf("%d requests failed", failed)
			}
		})
	}
}

// threeWithoutHealthcheck: without it in c, nothing says whether requests reach c, and no alarm is raised.
func threeWithoutHealthcheck(t *testing.T, m *threeMesh) {
	t.Helper()
	enable := func(enabled bool) {
		m.c.configure(t, suite.module, map[string]any{"settings": map[string]any{"alliance": map[string]any{"healthcheck": map[string]any{"enabled": enabled}}}})
	}
	t.Cleanup(func() { enable(true) })
	enable(false)
	for _, peer := range m.others(m.c) {
		m.c.awaitWay(t, peer, "Unknown", "HealthcheckDisabled")
		peer.awaitWay(t, m.c, "Unknown", "NotPublished")
	}
	m.a.awaitWay(t, m.b, "True", healthcheck.ReasonAnswers)
	enable(true)
	threeAnswerEachOther(t, m)
}

// threeCutOff: the two that remain lose what is on its way to the third, and go on; the third goes on by itself.
func threeCutOff(t *testing.T, m *threeMesh) {
	t.Helper()
	for _, c := range m.clusters() {
		m.callers[c].giveUpSoon(t, m.host)
		m.sharesOut(t, "all three answer", c, m.clusters()...)
	}
	remaining, running := m.others(m.c), map[*cluster]*asking{}
	for _, c := range m.clusters() {
		one := m.callers[c].keepAsking(m.host)
		t.Cleanup(func() { one.stop() })
		running[c] = one
	}
	mend := m.cutOff(t, m.c)
	open := map[*cluster]int{}
	for _, c := range remaining {
		open[c] = m.callers[c].connections(t, m.host, c.gatewayOf(t, m.c))
	}
	for _, c := range remaining {
		running[c].awaitMore(t, m.servers[m.a].Name)
		running[c].awaitMore(t, m.servers[m.b].Name)
	}
	running[m.c].awaitMore(t, m.servers[m.c].Name)
	running[m.c].stop()
	for _, c := range remaining {
		failed := running[c].stop()
		t.Logf("%d requests from %s failed, %d connections to %s were open", failed, c.name, open[c], m.c.name)
		// A connection that is open costs the request that is sent on it, and each worker may be opening one more.
		if failed > open[c]+workers {
			t.Errorf("%d requests from %s failed, and only %d connections were open for %d workers", failed, c.name, open[c], workers)
		}
		m.sharesOut(t, "nothing fails any more", c, remaining...)
		c.awaitWay(t, m.c, "False", healthcheck.ReasonGatewayUnreachable)
	}
	m.a.awaitWay(t, m.b, "True", healthcheck.ReasonAnswers)
	m.sharesOut(t, "the one that is cut off answers itself", m.c, m.c)
	mend()
	m.awaitPeers(t)
	for _, c := range m.clusters() {
		m.sharesOut(t, "all three answer again", c, m.clusters()...)
	}
	threeAnswerEachOther(t, m)
}

// threeLeave: c and both others delete their resources for each other, as docs/MULTICLUSTER.md says.
func threeLeave(t *testing.T, m *threeMesh) {
	t.Helper()
	t.Cleanup(func() { m.awaitPeers(t) })
	var comeBack []func()
	for _, other := range m.others(m.c) {
		comeBack = append(comeBack, other.part(t, m.c), m.c.part(t, other))
	}
	for _, other := range m.others(m.c) {
		other.awaitForgottenCluster(t, m.c)
		m.c.awaitForgottenCluster(t, other)
		m.sharesOut(t, "the two that remain answer", other, m.others(m.c)...)
	}
	m.sharesOut(t, "the one that left is alone", m.c, m.c)
	for _, again := range comeBack {
		again()
	}
	m.awaitPeers(t)
	for _, c := range m.clusters() {
		m.sharesOut(t, "all three answer again", c, m.clusters()...)
	}
}
