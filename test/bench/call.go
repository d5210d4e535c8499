package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	callNamespace = "bench-call"
	calledService = "web"
	// latencyRate is low enough that nothing waits for a core, in requests a second.
	latencyRate = "100"
	// latencyTime and passingTime are how long each round lasts.
	latencyTime, passingTime = "20s", "15s"
	// importedForMemory is how many services a proxy learns of while its memory is looked at.
	importedForMemory = 2000
)

// called is what was measured of requests from one cluster to another.
type called struct {
	Latencies []latency
	Passed    []passed
	// Memory that a client's Envoy has allocated with no imported services besides, and with importedForMemory, in MiB.
	Memory, MemoryWithServices float64
	Load                       string
}

// latency of one way, over all rounds.
type latency struct {
	Way      string
	P50, P99 []time.Duration
}

// passed is what a program did that passes TLS through.
type passed struct {
	Program string
	// Requests over connections that are retained, and Connections of one request each; a second, and for each second that the program computed.
	Requests, Connections rate
}

type rate struct{ PerSecond, PerCPU float64 }

// callWay of a request: the Pod that sends it, and where to.
type callWay struct {
	name string
	from component
	url  string
}

var (
	meshClient       = component{callNamespace, "app=client", "client"}
	meshClientProxy  = component{callNamespace, "app=client", "istio-proxy"}
	plainClient      = component{"bench-plain", "app=plain", "client"}
	calledComponent  = component{callNamespace, "app=" + calledService, "web"}
	gatewayComponent = component{"d8-istio", "app=ingressgateway", "istio-proxy"}
)

// calling is a measurement that goes on.
type calling struct {
	*called
	consumer, publisher *cluster
	dir                 string
}

// host of the Service in a cluster.
func (c *cluster) calledHost() string {
	return fmt.Sprintf("%s.%s.svc.%s", calledService, callNamespace, c.ClusterDomain)
}

// measureCalls between two federated clusters whose Pods the fabric reaches.
func measureCalls(ctx context.Context, clusters []*cluster) (*called, error) {
	if len(clusters) < 2 {
		return nil, errors.New("the lab has one cluster: calls need two, federated ones")
	}
	dir, err := os.MkdirTemp("", "istio-bench-call-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the servers: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := &calling{called: &called{}, consumer: clusters[0], publisher: clusters[1], dir: dir}
	for _, step := range []func(context.Context) error{c.deploy, c.measureLatencies, c.measurePassing, c.measureMemory} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	c.Load, _, _ = strings.Cut(loadAverage(), " ")
	return c.called, nil
}

// deploy who calls and who is called, and wait until a request passes both clusters.
func (c *calling) deploy(ctx context.Context) error {
	progress("starting clients and servers")
	for _, each := range []struct {
		in       *cluster
		manifest string
		ready    []string
	}{
		{c.publisher, "called", []string{callNamespace + "/web"}},
		{c.consumer, "called", nil},
		{c.consumer, "caller", []string{callNamespace + "/web", callNamespace + "/client", "bench-plain/plain"}},
	} {
		if err := each.in.kubectl(ctx, "", "apply", "-f", filepath.Join("test", "bench", "manifests", each.manifest+".yaml")); err != nil {
			return err
		}
		for _, deployment := range each.ready {
			namespace, name, _ := strings.Cut(deployment, "/")
			if err := each.in.kubectl(ctx, "", "-n", namespace, "rollout", "status", "deployment/"+name, rolloutTimeout); err != nil {
				return err
			}
		}
	}
	return c.awaitAnswer(ctx, "http://"+c.publisher.calledHost()+"/")
}

func (c *calling) awaitAnswer(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, hopTimeout)
	defer cancel()
	for {
		_, err := c.load(ctx, callWay{url, meshClient, url}, "-n", "1", "-c", "1")
		if err == nil {
			return nil
		}
		if pause(ctx, time.Second) != nil {
			return fmt.Errorf("wait for an answer of %s: %w", url, err)
		}
	}
}

func (c *calling) measureLatencies(ctx context.Context) error {
	ways := []callWay{
		{"without proxies", plainClient, "http://plain.bench-plain.svc." + c.consumer.ClusterDomain + "/"},
		{"in the mesh of one cluster", meshClient, "http://" + c.consumer.calledHost() + "/"},
		{"to the peer", meshClient, "http://" + c.publisher.calledHost() + "/"},
	}
	c.Latencies = make([]latency, len(ways))
	for round := range rounds {
		for index, each := range ways {
			run, err := c.load(ctx, each, "-qps", latencyRate, "-c", "4", "-t", latencyTime)
			if err != nil {
				return err
			}
			row := &c.Latencies[index]
			row.Way, row.P50, row.P99 = each.name, append(row.P50, run.percentile(50)), append(row.P99, run.percentile(99))
			progress("round %d: %s: p50 %.2f ms", round+1, each.name, milliseconds(run.percentile(50)))
		}
	}
	return nil
}

// measurePassing puts a load on the peer's gateway, and on others in its place, in turns.
func (c *calling) measurePassing(ctx context.Context) error {
	passers, stop, err := c.startPassers(ctx)
	if err != nil {
		return err
	}
	defer stop()
	requests, connections := make([][]rate, len(passers)), make([][]rate, len(passers))
	for _, mode := range []struct {
		rows [][]rate
		// limit is as JSON has it.
		limit, what string
	}{{requests, "null", "any number of requests"}, {connections, "1", "one request"}} {
		for _, each := range passers {
			if err := c.limitRequests(ctx, each, mode.limit); err != nil {
				return err
			}
		}
		for round := range rounds {
			for index, each := range passers {
				got, err := c.passThrough(ctx, each)
				if err != nil {
					return fmt.Errorf("%s: %w", each.name, err)
				}
				mode.rows[index] = append(mode.rows[index], got)
				progress("round %d, %s a connection: %s passes %.0f a second, %.0f for each second that it computes",
					round+1, mode.what, each.name, got.PerSecond, got.PerCPU)
			}
		}
	}
	for index, each := range passers {
		c.Passed = append(c.Passed, passed{Program: each.name, Requests: median(requests[index]), Connections: median(connections[index])})
	}
	return nil
}

// passThrough puts a load on one that passes TLS through.
func (c *calling) passThrough(ctx context.Context, by *passer) (rate, error) {
	before, err := by.cpu(ctx)
	if err != nil {
		return rate{}, err
	}
	run, err := c.load(ctx, callWay{by.name, meshClient, "http://" + by.host + "/"}, "-qps", "0", "-c", "16", "-t", passingTime)
	if err != nil {
		return rate{}, err
	}
	after, err := by.cpu(ctx)
	if err != nil {
		return rate{}, err
	}
	return rate{PerSecond: run.ActualQPS, PerCPU: float64(run.RetCodes["200"]) / max((after-before).Seconds(), 0.01)}, nil
}

// limitRequests of a connection to the host: null lets it be used for all.
func (c *calling) limitRequests(ctx context.Context, of *passer, limit string) error {
	patch := fmt.Sprintf(`{"spec":{"trafficPolicy":{"connectionPool":{"http":{"maxRequestsPerConnection":%s}}}}}`, limit)
	return c.consumer.kubectl(ctx, "", "-n", callNamespace, "patch", "destinationrule", of.rule, "--type=merge", "-p", patch)
}

// median of each figure by itself.
func median(rates []rate) rate {
	middle := func(of func(rate) float64) float64 {
		var values []float64
		for _, each := range rates {
			values = append(values, of(each))
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return rate{middle(func(r rate) float64 { return r.PerSecond }), middle(func(r rate) float64 { return r.PerCPU })}
}

// measureMemory looks at what a client's Envoy has allocated before and after a peer with many services is federated.
func (c *calling) measureMemory(ctx context.Context) (err error) {
	if c.Memory, _, err = c.proxyMemory(ctx); err != nil {
		return err
	}
	account, err := open(ctx, c.consumer.dynamic)
	if err != nil {
		return err
	}
	peers, closePeers, err := newFakePeers(1, importedForMemory)
	if err != nil {
		return err
	}
	defer closePeers()
	if err := c.consumer.federate(ctx, peers); err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, coldStartTimeout)
	defer cancel()
	if err := account.await(waiting, func() bool { return account.entries >= importedForMemory }); err != nil {
		return fmt.Errorf("wait for %d ServiceEntries: %w", importedForMemory, err)
	}
	for {
		memory, clusters, err := c.proxyMemory(waiting)
		if err == nil && clusters >= 2*importedForMemory { // each has two ports
			c.MemoryWithServices = memory
			progress("a client's Envoy has allocated %.1f MiB, and %.1f with %d services more", c.Memory, memory, importedForMemory)
			return nil
		}
		if pause(waiting, time.Second) != nil {
			return errors.Join(fmt.Errorf("the client's Envoy has %d clusters", clusters), err)
		}
	}
}

// proxyMemory is what the client's Envoy has allocated, in MiB, and its number of clusters.
func (c *calling) proxyMemory(ctx context.Context) (memory float64, clusters int, err error) {
	ask := func(path string) (string, error) {
		return c.inPod(ctx, meshClientProxy, "pilot-agent", "request", "GET", path)
	}
	text, err := ask("memory")
	if err != nil {
		return 0, 0, err
	}
	var seen struct {
		Allocated uint64 `json:"allocated,string"`
	}
	if err := json.Unmarshal([]byte(text), &seen); err != nil {
		return 0, 0, fmt.Errorf("read Envoy's memory: %w: %s", err, text)
	}
	if text, err = ask("stats?filter=^cluster_manager.active_clusters$"); err != nil {
		return 0, 0, err
	}
	if _, err := fmt.Sscanf(text, "cluster_manager.active_clusters: %d", &clusters); err != nil {
		return 0, 0, fmt.Errorf("read Envoy's number of clusters: %w: %s", err, text)
	}
	return float64(seen.Allocated) / (1 << 20), clusters, nil
}

// loadRun is what fortio reports of a load.
type loadRun struct {
	ActualQPS         float64
	RetCodes          map[string]int
	DurationHistogram struct {
		Percentiles []struct{ Percentile, Value float64 }
	}
}

func (r loadRun) percentile(of float64) time.Duration {
	for _, each := range r.DurationHistogram.Percentiles {
		if each.Percentile == of {
			return time.Duration(each.Value * float64(time.Second))
		}
	}
	return 0
}

// load has a Pod call by that way; every answer must be 200.
func (c *calling) load(ctx context.Context, by callWay, flags ...string) (*loadRun, error) {
	args := append([]string{"fortio", "load", "-json", "-", "-loglevel", "Error", "-p", "50,99"}, flags...)
	text, err := c.inPod(ctx, by.from, append(args, by.url)...)
	if err != nil {
		return nil, err
	}
	run := &loadRun{}
	if err := json.Unmarshal([]byte(text), run); err != nil {
		return nil, fmt.Errorf("read what fortio reports: %w: %s", err, text)
	}
	if len(run.RetCodes) != 1 || run.RetCodes["200"] == 0 {
		codes := slices.Sorted(maps.Keys(run.RetCodes))
		return nil, fmt.Errorf("%s is answered with status %s", by.url, strings.Join(codes, ", "))
	}
	return run, nil
}

// inPod runs a command in a container of the consumer, and returns its output.
func (c *calling) inPod(ctx context.Context, in component, command ...string) (string, error) {
	found, err := c.consumer.find(ctx, in)
	if err != nil {
		return "", err
	}
	args := append([]string{"-n", in.namespace, "exec", found.pod.Name, "-c", in.container, "--"}, command...)
	output, err := c.consumer.kubectlCommand(ctx, args).Output()
	if err != nil {
		said := ""
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			said = strings.TrimSpace(string(exit.Stderr))
		}
		return "", fmt.Errorf("kubectl exec in Pod %s of %s: %w: %s", found.pod.Name, c.consumer.Name, err, said)
	}
	return string(output), nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
