//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const (
	// probeImage has the lab's load and the server that answers it (cmd/lab/probe).
	probeImage = "lab.local/probe:1"
	// loadRate is how many requests a second cross the clusters, loadStreams how many gRPC streams are open besides.
	loadRate, loadStreams = 200, 4
	// steady is for how many seconds a load must be without failures before and after a disturbance.
	steady = 3
	// inFlight are the requests that may be on the way through a gateway when it ends, those of 50 ms. Istio repeats no
	// request that the server may have got.
	inFlight = 10
	// lingering is for how many seconds a server answers after its end was requested.
	lingering = 10
)

// crossingLoad is a Pod of cluster-a that loads a federated Service of cluster-b.
type crossingLoad struct {
	client *corev1.Pod
	// namespace of the servers, host their Service's name in the mesh.
	namespace, host string
	// steadySince is when the load first went without failures, lost what disturbances have cost since then.
	steadySince time.Time
	lost        int
}

// loadTotals and loadEvent are what the load prints, a line each.
type loadTotals struct{ Requests, Failed, Messages, Broken int }

type loadEvent struct {
	At     time.Time
	Kind   string
	Error  string
	After  time.Duration
	Totals *loadTotals
}

// loss is what a disturbance cost.
type loss struct {
	// requests and messages were answered or failed in that time.
	requests, messages int
	// failed requests and broken streams.
	failed, broken []loadEvent
	lasted         time.Duration
}

func (l loss) String() string {
	words := fmt.Sprintf("%d of %d requests failed, %d streams with %d messages broke, in %s",
		len(l.failed), l.requests, len(l.broken), l.messages, l.lasted.Round(100*time.Millisecond))
	if count := summary(l.failed); count != "" {
		words += "; requests: " + count
	}
	if count := summary(l.broken); count != "" {
		words += "; streams: " + count
	}
	return words
}

// summary counts events by what they say.
func summary(events []loadEvent) string {
	counts := map[string]int{}
	var order []string
	for _, event := range events {
		if counts[event.Error]++; counts[event.Error] == 1 {
			order = append(order, event.Error)
		}
	}
	var words []string
	for _, text := range order {
		words = append(words, strconv.Itoa(counts[text])+" × "+text)
	}
	return strings.Join(words, ", ")
}

// startLoad runs servers in cluster-b and the load in cluster-a, and waits until it is steady.
func startLoad(t *testing.T) *crossingLoad {
	t.Helper()
	awaitPeers(t)
	suite.a.awaitMesh(t, defaultIstio())
	suite.b.awaitMesh(t, defaultIstio())
	here, there := suite.a.labelled(t, inMesh), suite.b.labelled(t, inMesh)
	for _, name := range []string{"server-1", "server-2"} {
		suite.b.run(t, loadServer(there, name))
	}
	l := &crossingLoad{namespace: there, host: suite.b.hostname(t, there, "server")}
	suite.b.serveLoad(t, there)
	suite.b.label(t, there, "server", true)
	suite.a.awaitImported(t, l.host, scheduled)
	l.client = suite.a.run(t, loadClient(here, l.host))
	l.steadySince = l.awaitSteady(t).At
	return l
}

// loadServer is a Pod that answers a load.
func loadServer(namespace, name string) *corev1.Pod {
	pod := newPod(namespace, name, map[string]string{"app": "server"}, nil)
	application := &pod.Spec.Containers[0]
	application.Image, application.Args = probeImage, []string{"serve", "--http=:" + strconv.Itoa(applicationPort), "--grpc=:7070"}
	application.Ports = []corev1.ContainerPort{{Name: "http", ContainerPort: applicationPort}, {Name: "grpc", ContainerPort: 7070}}
	// As applications do that are replaced under load: they answer until all proxies know that they end.
	application.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: lingering}}}
	grace := int64(3 * lingering)
	pod.Spec.TerminationGracePeriodSeconds = &grace
	return pod
}

// loadClient is a Pod whose program loads the host until the Pod is deleted.
func loadClient(namespace, host string) *corev1.Pod {
	pod := newPod(namespace, "load", nil, nil)
	application := &pod.Spec.Containers[0]
	application.Image, application.Ports, application.ReadinessProbe = probeImage, nil, nil
	application.Args = []string{
		"load", "--for=24h", "--rate=" + strconv.Itoa(loadRate), "--streams=" + strconv.Itoa(loadStreams), "--timeout=" + requestTimeout.String(),
		webURL(host), host + ":7070",
	}
	application.Resources.Requests[corev1.ResourceMemory] = resource.MustParse("32Mi")
	return pod
}

// serveLoad makes the Service of the servers.
func (c *cluster) serveLoad(t *testing.T, namespace string) {
	t.Helper()
	_, err := c.typed.CoreV1().Services(namespace).Create(context.Background(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "server"},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "server"},
			Ports: []corev1.ServicePort{
				{Name: "http-web", Port: 80, TargetPort: intstr.FromInt32(applicationPort)},
				{Name: "grpc", Port: 7070, TargetPort: intstr.FromInt32(7070)},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// events that the load has printed by now.
func (l *crossingLoad) events() ([]loadEvent, error) {
	stream, err := suite.a.typed.CoreV1().Pods(l.client.Namespace).
		GetLogs(l.client.Name, &corev1.PodLogOptions{Container: applicationContainer}).Stream(context.Background())
	if err != nil {
		return nil, err
	}
	defer func() { _ = stream.Close() }()
	var events []loadEvent
	for lines := bufio.NewScanner(stream); lines.Scan(); {
		var event loadEvent
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			return nil, fmt.Errorf("the load's line %q: %w", lines.Text(), err)
		}
		events = append(events, event)
	}
	return events, nil
}

// awaitSteady waits until the load has gone without failures for some seconds, and returns the last of its totals.
func (l *crossingLoad) awaitSteady(t *testing.T) (latest loadEvent) {
	t.Helper()
	since := time.Now()
	eventually(t, restarted, "the load goes without failures", func() string {
		events, err := l.events()
		if err != nil {
			return err.Error()
		}
		var totals []loadEvent
		for _, event := range events {
			if event.Totals != nil && event.At.After(since) {
				totals = append(totals, event)
			}
		}
		if len(totals) <= steady {
			return fmt.Sprintf("it has reported its totals %d times since", len(totals))
		}
		latest = totals[len(totals)-1]
		first, last := totals[len(totals)-1-steady].Totals, latest.Totals
		if first.Failed != last.Failed || first.Broken != last.Broken || first.Requests == last.Requests || first.Messages == last.Messages {
			return fmt.Sprintf("in its last seconds %+v became %+v; the last failures: %s", *first, *last, summary(failures(events, since, time.Now())))
		}
		return ""
	})
	return latest
}

// failures between two moments.
func failures(events []loadEvent, after, until time.Time) (found []loadEvent) {
	for _, event := range events {
		if event.Totals == nil && event.At.After(after) && !event.At.After(until) {
			found = append(found, event)
		}
	}
	return found
}

// during disturbs, waits until the load is steady again, and returns what was lost meanwhile.
func (l *crossingLoad) during(t *testing.T, disturb func(t *testing.T)) loss {
	t.Helper()
	before := l.awaitSteady(t)
	disturb(t)
	after := l.awaitSteady(t)
	events, err := l.events()
	if err != nil {
		t.Fatal(err)
	}
	found := loss{
		requests: after.Totals.Requests - before.Totals.Requests, messages: after.Totals.Messages - before.Totals.Messages,
		lasted: after.At.Sub(before.At),
	}
	for _, event := range failures(events, before.At, after.At) {
		if event.Kind == "stream" {
			found.broken = append(found.broken, event)
		} else {
			found.failed = append(found.failed, event)
		}
	}
	l.lost += len(found.failed) + len(found.broken)
	return found
}

// endsWithoutMore waits until every request of a disturbance was answered or given up, and fails the test where more was lost
// than the disturbances have reported: a request that one of them swallowed fails when nobody waits for it any more.
func (l *crossingLoad) endsWithoutMore(t *testing.T) {
	t.Helper()
	last := l.awaitSteady(t).At
	var found []loadEvent
	eventually(t, restarted+requestTimeout, "every request has its answer", func() string {
		events, err := l.events()
		if err != nil {
			return err.Error()
		}
		found = failures(events, l.steadySince, time.Now())
		waited := events[len(events)-1].At.Sub(last)
		return unless(waited > requestTimeout, "the load has gone on for %s", waited)
	})
	if len(found) > l.lost {
		t.Errorf("%d requests and streams were lost, disturbances have reported %d: %s", len(found), l.lost, summary(found))
	}
}
