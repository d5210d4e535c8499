//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/deckhouse-mesh/istio/test/mesh"
)

// sharedService is a Service of both clusters of the mesh, with a Pod in each and a caller in a.
type sharedService struct {
	*meshLab
	namespace, host string
	here, there     *corev1.Pod
	caller          *insider
}

func newSharedService(t *testing.T) *sharedService {
	t.Helper()
	l := meshOf(t)
	s := &sharedService{meshLab: l, namespace: everywhere(t, l.a, l.b)}
	for _, c := range []*cluster{l.a, l.b} {
		c.awaitMesh(t, defaultIstio())
		s.host = c.serviceFor(t, s.namespace, "api", "api")
	}
	s.here, s.there = l.a.podWithSidecar(t, s.namespace, "api", "api-in-a"), l.b.podWithSidecar(t, s.namespace, "api", "api-in-b")
	s.caller = l.a.enterPod(t, l.a.podWithSidecar(t, s.namespace, "client", "client"))
	return s
}

// sharesOut waits until each cluster answers a quarter of the requests at least.
func (s *sharedService) sharesOut(t *testing.T, what string) {
	t.Helper()
	const count = 80
	eventually(t, scheduled, what, func() string {
		got := s.caller.pods(count, s.host)
		return unless(got[s.here.Name] >= count/4 && got[s.there.Name] >= count/4 && got[s.here.Name]+got[s.there.Name] == count,
			"of %d: %v", count, got)
	})
}

// isAnsweredBy waits until one Pod answers all requests.
func (s *sharedService) isAnsweredBy(t *testing.T, what, pod string) {
	t.Helper()
	const count = 40
	eventually(t, scheduled, what, func() string {
		got := s.caller.pods(count, s.host)
		return unless(got[pod] == count, "of %d: %v", count, got)
	})
}

func multiclusterASharedServiceIsBalancedOverBothClusters(t *testing.T) {
	s := newSharedService(t)
	s.sharesOut(t, "through gateways both clusters answer")
}

// multiclusterRequestsStayAtHomeWhereTheServiceSaysSo: to be near is to be in the same network, and each cluster has its own.
func multiclusterRequestsStayAtHomeWhereTheServiceSaysSo(t *testing.T) {
	s := newSharedService(t)
	s.sharesOut(t, "both clusters answer")
	for _, c := range []*cluster{s.a, s.b} {
		c.distribute(t, s.namespace, `"PreferClose"`)
	}
	s.isAnsweredBy(t, "requests stay at home", s.here.Name)
	if err := s.a.typed.CoreV1().Pods(s.namespace).Delete(context.Background(), s.here.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.isAnsweredBy(t, "the peer answers when nobody does at home", s.there.Name)
	s.a.podWithSidecar(t, s.namespace, "api", "api-again")
	s.isAnsweredBy(t, "requests stay at home again", "api-again")
}

// distribute requests for Service api of the namespace as this trafficDistribution says, in JSON.
func (c *cluster) distribute(t *testing.T, namespace, as string) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"trafficDistribution":%s}}`, as)
	_, err := c.typed.CoreV1().Services(namespace).Patch(context.Background(), "api", types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// workers ask at the same time while the peer is cut off.
const workers = 4

// multiclusterACutOffPeerCostsWhatIsInFlight: a request for which a connection to the peer must be opened is tried again at
// home; one that was on its way on an open connection is lost, and no connection costs more than one.
func multiclusterACutOffPeerCostsWhatIsInFlight(t *testing.T) {
	s := newSharedService(t)
	s.caller.giveUpSoon(t, s.host)
	s.sharesOut(t, "both clusters answer")
	gateway := s.a.gatewayOf(t, s.b)

	running := s.caller.keepAsking(s.host)
	t.Cleanup(func() { running.stop() })
	running.awaitMore(t, s.there.Name)
	before := running.failures()
	mend := s.cut(t)
	open := s.caller.connections(t, s.host, gateway)
	running.awaitMore(t, s.here.Name)
	failed := running.stop() - before
	t.Logf("%d requests failed, %d connections to the peer were open", failed, open)
	// A connection that is open costs the request that is sent on it, and each worker may be opening one more.
	if failed > open+workers {
		t.Errorf("%d requests failed, and only %d connections to the peer were open for %d workers", failed, open, workers)
	}
	s.isAnsweredBy(t, "nothing fails any more", s.here.Name)
	mend()
	s.sharesOut(t, "both clusters answer again")
}

// giveUpSoon makes the rule by which callers give up a peer that does not answer, and waits until the caller follows it: the
// wait for a connection is short, and two failures are enough.
func (i *insider) giveUpSoon(t *testing.T, host string) {
	t.Helper()
	rule := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": map[string]any{"name": "api"},
		"spec": map[string]any{"host": host, "trafficPolicy": map[string]any{
			"connectionPool": map[string]any{"tcp": map[string]any{"connectTimeout": "3s"}},
			"outlierDetection": map[string]any{
				"consecutive5xxErrors": int64(2), "interval": "1s", "baseEjectionTime": "10s", "maxEjectionPercent": int64(100),
			},
		}},
	}}
	if _, err := i.of.dynamic.Resource(destinationRules).Namespace(i.Namespace).Create(context.Background(), rule, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, scheduled, "the caller follows the rule", func() string {
		known := i.admin("config_dump?resource=dynamic_active_clusters&name_regex=outbound.80.*" + host).text
		return unless(strings.Contains(known, `"connect_timeout": "3s"`), "its proxy has %.2000s", known)
	})
}

// connections that the caller's proxy has to an address of the host.
func (i *insider) connections(t *testing.T, host, address string) int {
	t.Helper()
	wanted := mesh.Outbound(80, "", host) + "::" + address + "::cx_active::"
	for line := range strings.Lines(i.admin("clusters").text) {
		if count, found := strings.CutPrefix(strings.TrimSpace(line), wanted); found {
			open, err := strconv.Atoi(count)
			if err != nil {
				t.Fatal(err)
			}
			return open
		}
	}
	t.Fatalf("the caller's proxy does not know %s", wanted)
	return 0
}

// asking is what goes on until it is stopped: requests, each worker's one after the other.
type asking struct {
	sync.Mutex
	answered map[string]int
	failed   int
	end      context.CancelFunc
	ended    sync.WaitGroup
}

func (i *insider) keepAsking(host string) *asking {
	ctx, cancel := context.WithCancel(context.Background())
	a := &asking{answered: map[string]int{}, end: cancel}
	for range workers {
		a.ended.Go(func() {
			for ctx.Err() == nil {
				got, err := i.get("http://" + host + "/")
				a.Lock()
				if err != nil || got.status != http.StatusOK {
					a.failed++
				} else {
					a.answered[got.pod]++
				}
				a.Unlock()
			}
		})
	}
	return a
}

func (a *asking) answers(pod string) int {
	a.Lock()
	defer a.Unlock()
	return a.answered[pod]
}

// awaitMore waits until the Pod has answered many more requests.
func (a *asking) awaitMore(t *testing.T, pod string) {
	t.Helper()
	const more = 100
	before := a.answers(pod)
	eventually(t, scheduled, pod+" answers more requests", func() string {
		now := a.answers(pod) - before
		return unless(now >= more, "it has answered %d", now)
	})
}

// failures by now.
func (a *asking) failures() int {
	a.Lock()
	defer a.Unlock()
	return a.failed
}

// stop the requests, and say how many failed.
func (a *asking) stop() (failed int) {
	a.end()
	a.ended.Wait()
	return a.failed
}
