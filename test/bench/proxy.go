package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/deckhouse-mesh/istio/test/guarded"
)

const (
	maxProxyMemory = 64  // MiB, the target
	minOfDirect    = 0.8 // the target, of the throughput of a list
	proxyAccount   = "api-proxy"
)

// proxied is what was measured of ways to the same API server.
type proxied struct {
	pods, watches int
	lists         []listed
	events        []watched
	memory        []held
}

// way to the API server.
type way struct {
	name string
	// config is the same client's, except for address and credentials.
	config *rest.Config
	// process of the proxy; 0 for none.
	process process
}

// client as istiod's: protobuf, and as many requests as it likes.
func (w way) client(compressed bool) (*kubernetes.Clientset, error) {
	config := rest.CopyConfig(w.config)
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	config.DisableCompression = !compressed
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client for %s: %w", w.name, err)
	}
	return client, nil
}

// measureProxy asks one API server directly, through the API proxy and through
// kubectl proxy. Nothing else runs in that cluster.
func measureProxy(ctx context.Context, todo plan) (_ *proxied, err error) {
	row := &proxied{pods: todo.Pods, watches: todo.Watches}
	progress("starting an API server with %d Pods and as many Services", todo.Pods)
	cluster, err := guarded.StartCluster(ctx, ".")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	if err := fill(ctx, cluster.Client, todo.Pods); err != nil {
		return nil, err
	}
	ways, stop, err := startWays(ctx, cluster)
	if err != nil {
		return nil, err
	}
	defer stop()
	if row.lists, err = measureLists(ctx, ways, todo); err != nil {
		return nil, err
	}
	if row.events, err = measureEvents(ctx, cluster.Client, ways, todo.Tries); err != nil {
		return nil, err
	}
	row.memory, err = measureWatches(ctx, ways, todo.Watches)
	return row, err
}

// startWays makes every way with the same rights: those of the module's own roles.
func startWays(ctx context.Context, cluster *guarded.Cluster) (_ []way, stop func(), err error) {
	account, err := cluster.Account(ctx, proxyAccount, guarded.AsRendered)
	if err != nil {
		return nil, nil, err
	}
	proxy, err := cluster.StartProxy(ctx, ".", account)
	if err != nil {
		return nil, nil, err
	}
	kubectl, stopKubectl, err := startKubectlProxy(ctx, account)
	if err != nil {
		return nil, nil, errors.Join(err, proxy.Stop())
	}
	return []way{
			{name: "direct", config: account},
			{name: "api-proxy", config: proxy.Peer, process: process(proxy.PID)},
			kubectl,
		}, func() {
			stopKubectl()
			_ = proxy.Stop()
		}, nil
}

// startKubectlProxy starts `kubectl proxy`, which speaks plain HTTP/1.1 to its callers.
func startKubectlProxy(ctx context.Context, account *rest.Config) (_ way, stop func(), err error) {
	dir, err := os.MkdirTemp("", "istio-bench-kubectl-")
	if err != nil {
		return way{}, nil, fmt.Errorf("make a folder for kubectl: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // it has read them when it serves
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := guarded.WriteKubeconfig(kubeconfig, account); err != nil {
		return way{}, nil, err
	}
	command := exec.CommandContext(ctx, kubectlProgram, "proxy", "--port=0", "--kubeconfig="+kubeconfig)
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		return way{}, nil, fmt.Errorf("start kubectl proxy (`make tools` builds it): %w", err)
	}
	stop = func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	address, found := strings.CutPrefix(strings.TrimSpace(line), "Starting to serve on ")
	if !found {
		stop()
		return way{}, nil, fmt.Errorf("kubectl proxy said %q instead of where it serves: %w", line, err)
	}
	return way{
		name: "kubectl proxy", process: process(command.Process.Pid), config: &rest.Config{Host: "http://" + address, QPS: -1},
	}, stop, nil
}
