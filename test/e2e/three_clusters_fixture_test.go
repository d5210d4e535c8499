//go:build e2e

package e2e

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// threeClusters has the suite run TestThreeClusters, in a lab of its own (`make three-clusters`).
var threeClusters = flag.Bool("three-clusters", false, "run TestThreeClusters, whose lab of three clusters is started for it alone")

// threeMesh is a mesh of three clusters whose Pod ranges are not routed, with Service api in all of them: a
// Pod of it and a caller in each.
type threeMesh struct {
	a, b, c         *cluster
	namespace, host string
	servers         map[*cluster]*corev1.Pod
	callers         map[*cluster]*insider
}

func (m *threeMesh) clusters() []*cluster { return []*cluster{m.a, m.b, m.c} }

// others are all clusters of the mesh but one.
func (m *threeMesh) others(but *cluster) []*cluster {
	return slices.DeleteFunc(m.clusters(), func(c *cluster) bool { return c == but })
}

func newThreeMesh(t *testing.T) *threeMesh {
	t.Helper()
	if suite.mode != multiclusterMode || len(suite.clusters) < threeLab.clusters {
		t.Fatalf("this lab has %d clusters of mode %q, the test needs %d of mode %s", len(suite.clusters), suite.mode, threeLab.clusters, multiclusterMode)
	}
	m := &threeMesh{
		a: suite.clusters[0], b: suite.clusters[1], c: suite.clusters[2],
		servers: map[*cluster]*corev1.Pod{}, callers: map[*cluster]*insider{},
	}
	m.awaitPeers(t)
	m.namespace = everywhere(t, m.clusters()...)
	client := newPod(m.namespace, "client", nil, nil)
	for _, c := range m.clusters() { // Pods of all clusters start at the same time
		c.awaitMesh(t, defaultIstio())
		m.host, m.servers[c] = c.serviceFor(t, m.namespace, "api", "api"), m.server("api-in-"+c.name)
		c.awaitRevision(t, client, defaultIstio().Revision())
		c.begin(t, m.servers[c])
		c.begin(t, client)
	}
	for _, c := range m.clusters() {
		m.servers[c] = c.awaitReadyPod(t, m.servers[c])
		m.callers[c] = c.enterPod(t, c.awaitReadyPod(t, client))
	}
	return m
}

// server is a Pod of Service api.
func (m *threeMesh) server(name string) *corev1.Pod {
	pod := newPod(m.namespace, "api", nil, nil)
	pod.Name = name
	return pod
}

// awaitPeers waits until every cluster says that both others are in one mesh with it, and has read them.
func (m *threeMesh) awaitPeers(t *testing.T) {
	t.Helper()
	for _, c := range m.clusters() {
		for _, peer := range m.others(c) {
			c.awaitInMesh(t, peer)
		}
	}
}

// sharesOut waits until requests from that cluster are all answered by these, and by each of them half as often as its share at least.
func (m *threeMesh) sharesOut(t *testing.T, what string, from *cluster, among ...*cluster) {
	t.Helper()
	const each = 30
	count := each * len(among)
	eventually(t, restarted, fmt.Sprintf("%s: requests from %s", what, from.name), func() string {
		got := m.callers[from].pods(count, m.host)
		answered := 0
		for _, c := range among {
			one := got[m.servers[c].Name]
			if answered += one; one < each/2 {
				return fmt.Sprintf("of %d: %v", count, got)
			}
		}
		return unless(answered == count, "of %d: %v", count, got)
	})
}

// cutOff cuts the links between the cluster and both others, and mends them when the test ends, if not before.
func (m *threeMesh) cutOff(t *testing.T, lost *cluster) (mend func()) {
	t.Helper()
	t.Cleanup(func() { m.awaitPeers(t) })
	var mends []func()
	for _, other := range m.others(lost) {
		mends = append(mends, cutLink(t, other, lost))
	}
	return func() {
		for _, one := range mends {
			one()
		}
	}
}

// replaceServer ends the cluster's Pod of Service api; what it returns starts another one and waits until it is ready.
func (m *threeMesh) replaceServer(t *testing.T, of *cluster) (startAnother func()) {
	t.Helper()
	former := m.servers[of].Name
	if err := of.typed.CoreV1().Pods(m.namespace).Delete(context.Background(), former, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		m.servers[of] = of.runReady(t, m.server(former+"-again"))
	}
}
