//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// observability has the suite run the tests that need Jaeger and Prometheus, in a lab of their own (`make observability`).
var observability = flag.Bool("observability", false, "run the tests that need Jaeger and Prometheus, which take minutes to build")

// needObservability skips the test unless its programs have been built.
func needObservability(t *testing.T) {
	t.Helper()
	if !*observability {
		t.Skip("it needs Jaeger and Prometheus: make observability")
	}
}

// jaegerManifest has a collector as a person would run one: Pods of its cluster reach Service zipkin, others the load balancer's address.
const jaegerManifest = `apiVersion: v1
kind: Pod
metadata: {name: jaeger, labels: {app: jaeger}}
spec:
  containers:
  - name: jaeger
    image: lab.local/jaeger:1
    args: ["--collector.zipkin.host-port=:9411"]
    readinessProbe: {httpGet: {path: /, port: 14269}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: zipkin}
spec:
  selector: {app: jaeger}
  ports: [{name: http-zipkin, port: 9411}]
---
apiVersion: v1
kind: Service
metadata: {name: jaeger}
spec:
  type: LoadBalancer
  selector: {app: jaeger}
  ports: [{name: http-zipkin, port: 9411}, {name: http-query, port: 16686}]
`

// observed is how long a lab may take to take up settings and to report what it does.
const observed = 5 * time.Minute

const (
	zipkinPort = "9411"
	queryPort  = "16686"
)

// jaeger runs in a cluster, outside of the mesh.
type jaeger struct {
	// namespace that it runs in, address at which others than its cluster's Pods reach it.
	namespace, address string
	// byName counts what has arrived by a name in DNS.
	byName atomic.Int32
}

func startJaeger(t *testing.T, in *cluster) *jaeger {
	t.Helper()
	j := &jaeger{namespace: in.namespace(t)}
	place := &side{cluster: in, Shop: j.namespace}
	(&traffic{Here: place}).applyYAML(t, place, jaegerManifest)
	eventually(t, restarted, "Jaeger is ready and has an address", func() string {
		service, err := in.typed.CoreV1().Services(j.namespace).Get(context.Background(), "jaeger", metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if len(service.Status.LoadBalancer.Ingress) != 1 {
			return "its Service has no address"
		}
		j.address = service.Status.LoadBalancer.Ingress[0].IP
		_, err = j.trace("1")
		return because(err)
	})
	return j
}

// span that a proxy has reported.
type span struct {
	ID        string `json:"spanID"`
	ProcessID string `json:"processID"`
	// References of a span lead to its parent.
	References []struct {
		ID string `json:"spanID"`
	} `json:"references"`
	Tags []struct {
		Key   string `json:"key"`
		Value any    `json:"value"`
	} `json:"tags"`
}

func (s span) tag(key string) string {
	for _, tag := range s.Tags {
		if tag.Key == key {
			return fmt.Sprint(tag.Value)
		}
	}
	return ""
}

// traceOfSpans is a trace as Jaeger's user interface gets it.
type traceOfSpans struct {
	Spans     []span `json:"spans"`
	Processes map[string]struct {
		ServiceName string `json:"serviceName"`
	} `json:"processes"`
}

// trace of that ID; without spans while Jaeger knows none.
func (j *jaeger) trace(id string) (traceOfSpans, error) {
	var found struct {
		Data []traceOfSpans `json:"data"`
	}
	err := getJSON("http://"+net.JoinHostPort(j.address, queryPort)+"/api/traces/"+id, &found)
	if err != nil || len(found.Data) == 0 {
		return traceOfSpans{}, err
	}
	return found.Data[0], nil
}

// getJSON reads a document; what is not found leaves it as it is.
func getJSON(url string, into any) error {
	client := http.Client{Timeout: requestTimeout}
	defer client.CloseIdleConnections()
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusNotFound {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(into)
}

// reporters of a trace: how many spans the proxies of each application have reported, with the cluster that each is in.
func (w traceOfSpans) reporters() map[string]int {
	counts := map[string]int{}
	for _, one := range w.Spans {
		counts[w.Processes[one.ProcessID].ServiceName+" in "+one.tag("istio.cluster_id")]++
	}
	return counts
}

// roots of the trace: spans without a parent in it.
func (w traceOfSpans) roots() int {
	count := 0
	for _, one := range w.Spans {
		inTrace := func(parent string) bool {
			return slices.ContainsFunc(w.Spans, func(other span) bool { return other.ID == parent })
		}
		if len(one.References) == 0 || !inTrace(one.References[0].ID) {
			count++
		}
	}
	return count
}

// tracingTo are settings of the module.
func tracingTo(address string) map[string]any {
	return map[string]any{"tracing": map[string]any{
		"enabled": true, "sampling": int64(100), "collector": map[string]any{"zipkin": map[string]any{"address": address}},
	}}
}

const frontService = `apiVersion: v1
kind: Service
metadata: {name: front}
spec:
  selector: {app: auditor}
  ports: [{name: http-web, port: 80, targetPort: 8191}]
`

// TestObservedRequestOfTwoClustersIsOneTrace: an application of one cluster is called, and calls one of the other; the
// proxies of all three report their spans to one Jaeger, whose address may be written in each of the ways that the settings know.
func TestObservedRequestOfTwoClustersIsOneTrace(t *testing.T) {
	needObservability(t)
	f := trafficOf(t)
	collector := startJaeger(t, suite.a)
	f.There.Pod("auditor").runFront(t, "http://"+f.Here.Host("api")+"/")
	f.applyYAML(t, f.There, frontService)
	suite.a.reconfigure(t, tracingTo("zipkin."+collector.namespace+".svc:"+zipkinPort))
	local := map[string]int{f.Here.reporter(t, "client"): 1, f.Here.reporter(t, "guarded"): 1}
	t.Run("the collector is a Service of the cluster", func(t *testing.T) {
		f.awaitTrace(t, collector, f.Here.Pod("client"), "http://"+f.Here.Host("guarded")+"/", local)
	})
	t.Run("a ServiceEntry of its name in another namespace changes nothing", func(t *testing.T) {
		f.applyYAML(t, f.Here, fmt.Sprintf("apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: collector, namespace: '{{.Here.Yard}}'}\n"+
			"spec: {hosts: [zipkin.%s.svc.%s], ports: [{name: http, number: 9411, protocol: HTTP}], resolution: STATIC, endpoints: [{address: 192.0.2.1}]}",
			collector.namespace, f.Here.Domain))
		eventually(t, observed, "proxies of that namespace know it", func() string {
			return unless(strings.Contains(f.Here.Pod("distant").admin("clusters").text, "192.0.2.1:"), "they have no such endpoint")
		})
		f.awaitTrace(t, collector, f.Here.Pod("client"), "http://"+f.Here.Host("guarded")+"/", local)
	})
	t.Run("the collector is a Service that a Sidecar resource leaves out", func(t *testing.T) {
		f.awaitTraceOfLimited(t, collector, f.Here, f.Here.Host("guarded"), f.Here.reporter(t, "guarded"))
		known := f.Here.Pod("client").admin("config_dump?resource=dynamic_active_clusters&name_regex=outbound." + zipkinPort + ".*zipkin." + collector.namespace + ".*").text
		if strings.Count(known, `"type": "EDS"`) != 1 || strings.Contains(known, "STRICT_DNS") {
			t.Errorf("a proxy that no Sidecar resource limits has another cluster for the collector than istiod's: %s", known)
		}
	})
	t.Run("a Service that comes later is reached", func(t *testing.T) {
		// A proxy that rejects its clusters once, as one does that gets the collector's twice, knows no new one.
		f.Here.serveAs(t, "later", "guarded", false)
		eventually(t, observed, "it answers", func() string {
			got, err := f.Here.Pod("client").get("http://" + f.Here.Host("later") + "/")
			return because(failing(err, httpStatus(http.StatusOK)(got)))
		})
	})
	crossing := map[string]int{f.There.reporter(t, "client"): 1, f.There.reporter(t, "auditor"): 2, f.Here.reporter(t, "api"): 1}
	front := "http://" + f.There.Host("front") + "/"
	// With the settings of the subtest that it is part of.
	limited := func(t *testing.T) {
		t.Helper()
		f.awaitTraceOfLimited(t, collector, f.There, f.Here.Host("api"), f.Here.reporter(t, "api"))
	}
	t.Run("the collector has an address", func(t *testing.T) {
		suite.b.reconfigure(t, tracingTo(net.JoinHostPort(collector.address, zipkinPort)))
		f.awaitTrace(t, collector, f.There.Pod("client"), front, crossing)
		t.Run("that a Sidecar resource leaves out", limited)
	})
	t.Run("the collector has a name in DNS", func(t *testing.T) {
		suite.b.reconfigure(t, tracingTo(collector.serveByName(t)))
		eventually(t, observed, "spans arrive by that name", func() string {
			_, err := f.There.Pod("client").get(front)
			return because(err) + unless(collector.byName.Load() > 0, "none has arrived")
		})
		f.awaitTrace(t, collector, f.There.Pod("client"), front, crossing)
		t.Run("that a Sidecar resource leaves out", limited)
	})
}

// awaitTraceOfLimited starts a Pod whose proxy knows one host and nothing else. An Envoy whose listeners name a
// collector that it does not know rejects them, so such a Pod would never be ready. Its request to that host is a trace.
func (f *traffic) awaitTraceOfLimited(t *testing.T, collector *jaeger, from *side, host, server string) {
	t.Helper()
	namespace := from.labelled(t, inMesh)
	f.applyYAML(t, from, fmt.Sprintf("apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: default, namespace: %s}\n"+
		"spec: {egress: [{hosts: ['*/%s']}]}", namespace, host))
	limited := from.enterPod(t, from.podWithSidecar(t, namespace, "limited", "limited"))
	known, err := limited.knownClusters()
	if err != nil {
		t.Fatal(err)
	}
	if everything, err := from.Pod("client").knownClusters(); err != nil || known >= everything {
		t.Errorf("the proxy knows %d clusters, one without a Sidecar resource %d (%v): nothing is left out", known, everything, err)
	}
	f.awaitTrace(t, collector, limited, "http://"+host+"/", map[string]int{
		"limited." + namespace + " in " + from.described(t).ClusterUUID: 1, server: 1,
	})
}

// reporter is by what name the proxies of an application of the shop report spans, and from which cluster.
func (s *side) reporter(t *testing.T, application string) string {
	t.Helper()
	return application + "." + s.Shop + " in " + s.described(t).ClusterUUID
}

// serveByName returns an address of the collector whose host is a name in DNS: the test itself passes on what is sent to it.
func (j *jaeger) serveByName(t *testing.T) string {
	t.Helper()
	listener := listenInFabric(t)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: net.JoinHostPort(j.address, zipkinPort)})
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proxy.ServeHTTP(w, r)
		j.byName.Add(1)
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return net.JoinHostPort("traces.host.lab", strconv.Itoa(listener.Addr().(*net.TCPAddr).Port))
}

// awaitTrace sends requests until one of them is a trace of which these proxies report so many spans, and no others.
func (f *traffic) awaitTrace(t *testing.T, collector *jaeger, from *insider, to string, wanted map[string]int) {
	t.Helper()
	var sent []string
	eventually(t, observed, "a request is one trace of all proxies that it passes", func() string {
		got, err := from.get(to)
		if err := failing(err, httpStatus(http.StatusOK)(got)); err != nil {
			return err.Error()
		}
		if id := received(got, "X-B3-Traceid"); id != "" {
			sent = append(sent, id)
		}
		missing := "no request has arrived with the ID of a trace"
		for _, id := range sent {
			whole, err := collector.trace(id)
			if err != nil {
				return err.Error()
			}
			if reporters := whole.reporters(); maps.Equal(reporters, wanted) && whole.roots() == 1 {
				return ""
			} else if len(reporters) > 0 || missing == "" {
				missing = fmt.Sprintf("of %d traces one has spans of %v and %d roots, not of %v; the caller's proxy: %s",
					len(sent), reporters, whole.roots(), wanted, from.admin("stats?filter=zipkin").text)
			}
		}
		return missing
	})
}

// received is a header of the request as the server that echoes it has got it.
func received(got answer, header string) string {
	for line := range strings.Lines(got.text) {
		if value, found := strings.CutPrefix(strings.TrimSpace(line), "RequestHeader="+header+":"); found {
			return value
		}
	}
	return ""
}
