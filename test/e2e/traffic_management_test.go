//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
)

// Ports of servers that the test runs in the Pods api-v1 and api-v2.
const (
	moodyPort    = 8190 // api-v1 answers 200, api-v2 503
	mirroredPort = 8191 // notes paths
	flakyPort    = 8192 // answers 500 to the first request for each path, whichever Pod gets it
)

// managed is a row: rules for a Service of its own with the Pods api-v1 and api-v2 behind it.
type managed struct {
	name string
	// rules are applied where the caller is; $HOST and $NAME are the Service's.
	rules string
	// target is the port of the Pods.
	target int
	// federated has the peer's client call it, too.
	federated bool
	holds     func(caller *insider, host string) (missing string)
}

// virtualService of the row with one route's clauses besides the destination, and destinationRule with a policy. A person's
// own DestinationRule for a peer's Service replaces the module's, and has to say ISTIO_MUTUAL itself.
func virtualService(http string) string {
	return "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: $NAME}\nspec:\n  hosts: [$HOST]\n  http:\n" + http
}

func destinationRule(policy string) string {
	return `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: $NAME}
spec:
  host: $HOST
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
  trafficPolicy: {tls: {mode: ISTIO_MUTUAL}` + policy + "}\n"
}

const toHost = "destination: {host: $HOST}"

// subset is a route to one of the Pods.
func subset(name string) string { return "destination: {host: $HOST, subset: " + name + "}" }

func managedRows() []managed {
	return []managed{
		{name: "timeout", federated: true, rules: virtualService("  - timeout: 0.4s\n    route: [{" + toHost + "}]"),
			holds: func(c *insider, host string) string {
				return c.statuses(host, map[string]int{"/?delay=3s": http.StatusGatewayTimeout, "/": http.StatusOK})
			}},
		{name: "limit-of-requests", federated: true,
			rules: destinationRule(", connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1}}"),
			holds: func(c *insider, host string) string {
				got := c.atOnce(12, host, "/?delay=0.3s")
				return unless(got[http.StatusOK] > 0 && got[http.StatusServiceUnavailable] > 0, "of 12 at once: %v", got)
			}},
		{name: "limit-of-connections", federated: true, rules: destinationRule(", connectionPool: {tcp: {maxConnections: 1}}"), holds: oneConnection},
		{name: "outlier-ejection", target: moodyPort,
			rules: destinationRule(", outlierDetection: {consecutive5xxErrors: 2, interval: 0.2s, baseEjectionTime: 60s, maxEjectionPercent: 100}") +
				"---\n" + virtualService("  - retries: {attempts: 0}\n    route: [{"+toHost+"}]"),
			holds: func(c *insider, host string) string {
				got := c.oneByOne(20, host, "/")
				return unless(got[http.StatusOK] == 20, "of 20: %v", got)
			}},
		{name: "without-retries", target: moodyPort, rules: virtualService("  - retries: {attempts: 0}\n    route: [{" + toHost + "}]"),
			holds: func(c *insider, host string) string {
				got := c.oneByOne(20, host, "/")
				return unless(got[http.StatusOK] > 0 && got[http.StatusServiceUnavailable] > 0, "of 20: %v", got)
			}},
		{name: "retries", target: moodyPort, rules: virtualService("  - retries: {attempts: 4, retryOn: 5xx}\n    route: [{" + toHost + "}]"),
			holds: func(c *insider, host string) string {
				got := c.oneByOne(20, host, "/")
				return unless(got[http.StatusOK] == 20, "of 20: %v", got)
			}},
		{name: "retries-of-what-fails-once", target: flakyPort, federated: true,
			rules: virtualService("  - retries: {attempts: 2, retryOn: 5xx}\n    route: [{" + toHost + "}]"),
			holds: func(c *insider, host string) string {
				return c.statuses(host, map[string]int{"/" + rand.String(10): http.StatusOK})
			}},
		{name: "sticky-by-cookie", rules: destinationRule(`, loadBalancer: {consistentHash: {httpCookie: {name: session, ttl: 60s}}}`), holds: stickyByCookie},
		{name: "sticky-by-header", rules: destinationRule(`, loadBalancer: {consistentHash: {httpHeaderName: x-user}}`),
			holds: func(c *insider, host string) string {
				return sticky(func(user string) (answer, error) { return c.get("http://"+host+"/", "X-User: "+user) })
			}},
		{name: "weights", rules: destinationRule("") + "---\n" +
			virtualService("  - route: [{"+subset("v1")+", weight: 80}, {"+subset("v2")+", weight: 20}]"),
			holds: func(c *insider, host string) string {
				got := c.pods(100, host)
				return unless(got["api-v2"] > 0 && got["api-v1"] > got["api-v2"] && got["api-v1"]+got["api-v2"] == 100, "of 100: %v", got)
			}},
		{name: "matches", rules: destinationRule("") + "---\n" + matchedTo(subset("v2"), subset("v1")), holds: matchedRoutes("api-v1", "api-v2")},
		{name: "faults", federated: true, rules: virtualService(`  - match: [{headers: {x-fault: {exact: abort}}}]
    fault: {abort: {httpStatus: 418, percentage: {value: 100}}}
    route: [{` + toHost + `}]
  - match: [{headers: {x-fault: {exact: delay}}}]
    fault: {delay: {fixedDelay: 0.7s, percentage: {value: 100}}}
    route: [{` + toHost + `}]
  - route: [{` + toHost + `}]`), holds: faults},
	}
}

// TestTrafficFollowsItsRules: VirtualServices and DestinationRules, for Services of the cluster and, where the caller's
// sidecar applies them, for a peer's.
func TestTrafficFollowsItsRules(t *testing.T) {
	f := trafficOf(t)
	serveMoods(t, f)
	t.Run("rows", func(t *testing.T) {
		for _, row := range managedRows() {
			t.Run(row.name, func(t *testing.T) {
				t.Parallel()
				f.awaitManaged(t, row, f.Here, f.Here.rowService(t, row.name, row.target, false))
			})
			if row.federated {
				t.Run("of a peer, "+row.name, func(t *testing.T) {
					t.Parallel()
					name := "peers-" + row.name
					host := f.Here.rowService(t, name, row.target, true)
					f.Here.awaitPublished(t, f.There, name)
					f.awaitManaged(t, row, f.There, host)
				})
			}
		}
		t.Run("mirroring", func(t *testing.T) { mirroring(t, f) })
		t.Run("matches of a peer", func(t *testing.T) { matchesAcross(t, f) })
		t.Run("weights between this cluster and a peer", func(t *testing.T) { weightsAcross(t, f) })
	})
}

func (f *traffic) awaitManaged(t *testing.T, row managed, caller *side, host string) {
	t.Helper()
	name, _, _ := strings.Cut(host, ".")
	f.applyYAML(t, caller, strings.NewReplacer("$HOST", host, "$NAME", name).Replace(row.rules))
	eventually(t, scheduled, "", func() string { return row.holds(caller.Pod("client"), host) })
}

// rowService is a Service of its own for a row, whose hostname it returns.
func (s *side) rowService(t *testing.T, name string, target int, published bool) string {
	t.Helper()
	s.serveAs(t, name, "api", published)
	services := s.typed.CoreV1().Services(s.Shop)
	t.Cleanup(func() { _ = services.Delete(context.Background(), name, metav1.DeleteOptions{}) })
	if target != 0 {
		service, err := services.Get(context.Background(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		service.Spec.Ports[0].TargetPort.IntVal = int32(target)
		if _, err := services.Update(context.Background(), service, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return s.Host(name)
}

// serveMoods runs servers in both Pods: on one port one of the Pods always fails, on another one both do once.
func serveMoods(t *testing.T, f *traffic) {
	t.Helper()
	var asked sync.Map // paths
	for pod, status := range map[string]int{"api-v1": http.StatusOK, "api-v2": http.StatusServiceUnavailable} {
		f.Here.Pod(pod).serveHTTP(t, moodyPort, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		f.Here.Pod(pod).serveHTTP(t, flakyPort, func(w http.ResponseWriter, r *http.Request) {
			if _, again := asked.LoadOrStore(r.URL.Path, true); !again {
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
	}
}

// serveHTTP on a port of the Pod until the test ends.
func (i *insider) serveHTTP(t *testing.T, port int, handle http.HandlerFunc) {
	t.Helper()
	listener := i.listen(t, port)
	go func() { _ = http.Serve(listener, handle) }()
}

// unless says what is wrong unless it holds.
func unless(holds bool, format string, values ...any) string {
	if holds {
		return ""
	}
	return fmt.Sprintf(format, values...)
}

// statuses says which path is answered otherwise.
func (i *insider) statuses(host string, wanted map[string]int) string {
	for path, status := range wanted {
		if got, err := i.get("http://" + host + path); err != nil || got.status != status {
			return fmt.Sprintf("%s: %s (%v), want status %d", path, got, err, status)
		}
	}
	return ""
}

// oneByOne counts the statuses of requests, atOnce those of requests at the same time; 0 is no answer.
func (i *insider) oneByOne(count int, host, path string) map[int]int {
	got := map[int]int{}
	for range count {
		one, _ := i.get("http://" + host + path)
		got[one.status]++
	}
	return got
}

func (i *insider) atOnce(count int, host, path string) map[int]int {
	statuses := make(chan int, count)
	for range count {
		go func() {
			one, _ := i.get("http://" + host + path)
			statuses <- one.status
		}()
	}
	got := map[int]int{}
	for range count {
		got[<-statuses]++
	}
	return got
}

// pods that answer requests.
func (i *insider) pods(count int, host string) map[string]int {
	got := map[string]int{}
	for range count {
		one, _ := i.send(request{url: "http://" + host + "/", timeout: stallTimeout})
		got[one.pod]++
	}
	return got
}

// oneConnection says how it is not so that a second connection is closed while a first one is open.
func oneConnection(c *insider, host string) string {
	address := fmt.Sprintf("%s:%d", host, rawPort)
	first, err := c.dial(context.Background(), "tcp", address)
	if err != nil {
		return err.Error()
	}
	_, err = echo(first)
	if err == nil {
		if _, second := c.echoes(address); second == nil {
			err = errors.New("a second connection is open beside the first")
		}
	}
	_ = first.Close()
	if err != nil {
		return err.Error()
	}
	_, err = c.echoes(address)
	return because(err)
}

func stickyByCookie(c *insider, host string) string {
	return sticky(func(user string) (answer, error) {
		if user == "" {
			return c.get("http://" + host + "/")
		}
		return c.get("http://"+host+"/", "Cookie: session="+user)
	}, func(first answer) string {
		cookie, _, _ := strings.Cut(strings.TrimPrefix(first.header.Get("Set-Cookie"), "session="), ";")
		return strings.Trim(cookie, `"`)
	})
}

// sticky says how it is not so that each user stays with one Pod, and not all with the same. given is the name that a new user's first answer gives.
func sticky(call func(user string) (answer, error), given ...func(answer) string) string {
	all := map[string]bool{}
	for user := range 16 {
		name := fmt.Sprint("user", user)
		if len(given) > 0 {
			first, err := call("")
			if err != nil {
				return err.Error()
			}
			if name = given[0](first); name == "" {
				return "the first answer sets no cookie"
			}
		}
		pods := map[string]bool{}
		for range 4 {
			got, err := call(name)
			if err != nil || got.status != http.StatusOK {
				return fmt.Sprintf("%s (%v)", got, err)
			}
			pods[got.pod], all[got.pod] = true, true
		}
		if len(pods) != 1 {
			return fmt.Sprintf("%s is served by %v", name, pods)
		}
	}
	return unless(len(all) == 2, "all users are served by %v", all)
}

// matchedRoutes says which request is not answered by the Pod that the rules choose; the Pods' names begin so.
func matchedRoutes(usual, chosen string) func(c *insider, host string) string {
	return func(c *insider, host string) string {
		for what, one := range map[string]struct {
			request
			pod string
		}{
			"nothing":          {request{url: "http://" + host + "/"}, usual},
			"the header":       {request{url: "http://" + host + "/", headers: []string{"X-Version: next"}}, chosen},
			"another header":   {request{url: "http://" + host + "/", headers: []string{"X-Version: last"}}, usual},
			"the URI":          {request{url: "http://" + host + "/next/page"}, chosen},
			"the method":       {request{url: "http://" + host + "/", method: http.MethodPut}, chosen},
			"the host":         {request{url: "http://" + host + "/", headers: []string{"Host: next.example"}}, chosen},
			"another method":   {request{url: "http://" + host + "/", method: http.MethodDelete}, usual},
			"no more than URI": {request{url: "http://" + host + "/then/next"}, usual},
		} {
			if got, err := c.send(one.request); err != nil || got.status != http.StatusOK || !strings.HasPrefix(got.pod, one.pod) {
				return fmt.Sprintf("%s: %s (%v), want Pod %s", what, got, err, one.pod)
			}
		}
		return ""
	}
}

// matchedTo is a VirtualService that sends what a header, the URI, the method or the host chooses to one route, and the rest to the usual one.
func matchedTo(chosen, usual string) string {
	return strings.Replace(virtualService(`  - match:
    - headers: {x-version: {exact: next}}
    - uri: {prefix: /next}
    - method: {exact: PUT}
    - authority: {exact: next.example}
    route: [{`+chosen+`}]
  - route: [{`+usual+`}]`), "[$HOST]", "[$HOST, next.example]", 1)
}

func faults(c *insider, host string) string {
	url := "http://" + host + "/"
	if got, err := c.get(url, "X-Fault: abort"); err != nil || got.status != http.StatusTeapot {
		return fmt.Sprintf("abort: %s (%v)", got, err)
	}
	begun := time.Now()
	if got, err := c.get(url, "X-Fault: delay"); err != nil || got.status != http.StatusOK || time.Since(begun) < 700*time.Millisecond {
		return fmt.Sprintf("delay: %s (%v) after %s", got, err, time.Since(begun))
	}
	got, err := c.get(url)
	return unless(err == nil && got.status == http.StatusOK, "neither: %s (%v)", got, err)
}
