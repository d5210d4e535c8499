//go:build e2e

package lab

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestClustersOfRealNodes(t *testing.T) {
	lab := up(t, "--clusters", "2", "--nodes", "2", "--mode", "multicluster")
	for _, part := range []struct {
		name string
		test func(*testing.T, *runningLab)
	}{
		{"kubectl reads logs, runs commands and forwards ports from the person's shell", kubectlWorks},
		{"Pods reach Pods of other nodes and clusters, Services and public names", podsReach},
		{"a link is cut and mended", linkCut},
		{"a command in the fabric ends with lab exec, however that ends", commandEnds},
		{"a restarted node is Ready again", nodeRestarts},
		{"a node is lost, and its Pods come back on another", nodeLost},
		{"evidence is collected", evidenceCollected},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, lab.in(t)) })
	}
}

const (
	coreDNS = "deployment/coredns"
	echo    = `
apiVersion: v1
kind: Namespace
metadata: {name: test}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {namespace: test, name: echo}
spec:
  selector: {matchLabels: {app: echo}}
  template:
    metadata: {labels: {app: echo}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: echo
          image: lab.local/echo:1
          args: [--port, "8080"]
          readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {namespace: test, name: echo}
spec:
  type: LoadBalancer
  loadBalancerIP: %s
  selector: {app: echo}
  ports: [{port: 80, targetPort: 8080}]
`
)

func kubectlWorks(t *testing.T, lab *runningLab) {
	logs := lab.must(lab.kubectl("-n", "kube-system", "logs", coreDNS))
	if !strings.Contains(logs, "CoreDNS-") {
		t.Errorf("logs: %s", logs)
	}
	version := lab.must(lab.kubectl("-n", "kube-system", "exec", coreDNS, "--", "/coredns", "-version"))
	if !strings.Contains(version, "CoreDNS-") {
		t.Errorf("exec: %s", version)
	}
	forward := exec.CommandContext(t.Context(), filepath.Join(root(t), ".cache", "tools", "kube", "kubectl"),
		"--kubeconfig", filepath.Join(lab.dir, "cluster-a", "kubeconfig"), "-n", "kube-system", "port-forward", coreDNS, ":8080")
	output, err := forward.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := forward.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = forward.Process.Kill(), forward.Wait() }()
	var port int
	line, _ := bufio.NewReader(output).ReadString('\n')
	if _, err := fmt.Sscanf(line, "Forwarding from 127.0.0.1:%d", &port); err != nil {
		t.Fatalf("kubectl port-forward said %q", line)
	}
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/health", port))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(response.Body)
	if err := response.Body.Close(); err != nil || string(body) != "OK" {
		t.Errorf("health %q, %v", body, err)
	}
}

func podsReach(t *testing.T, lab *runningLab) {
	for i, cluster := range []string{"cluster-a", "cluster-b"} {
		lab.must(lab.kubectlOf(cluster, fmt.Sprintf(echo, fmt.Sprintf("10.89.%d.200", i+1)), "apply", "-f", "-"))
	}
	var urls []string
	for _, cluster := range []string{"cluster-a", "cluster-b"} {
		lab.must(lab.kubectlOf(cluster, "", "-n", "test", "rollout", "status", "daemonset/echo", "--timeout=3m"))
		addresses := strings.Fields(lab.must(lab.kubectlOf(cluster, "", "-n", "test", "get", "pods", "-o", "jsonpath={.items[*].status.podIP}")))
		if len(addresses) != 2 {
			t.Fatalf("%s has Pods %v, want one on each node", cluster, addresses)
		}
		for _, address := range addresses {
			urls = append(urls, "http://"+address+":8080")
		}
	}
	urls = append(urls, "http://echo.test", "http://echo.test.svc.cluster.local", "http://10.89.1.200", "http://10.89.2.200")
	for _, pod := range strings.Fields(lab.must(lab.kubectl("-n", "test", "get", "pods", "-o", "name"))) {
		for _, url := range urls {
			lab.eventually(20*time.Second, pod+" reaches "+url, func() (bool, string) {
				output, err := lab.kubectl("-n", "test", "exec", pod, "--", "client", "--timeout", "2s", url)
				return err == nil && strings.Contains(output, "StatusCode=200"), output
			})
		}
	}
	lab.eventually(time.Minute, "the fabric reaches cluster-b", func() (bool, string) {
		output, err := lab.lab("exec", "--", "curl", "-sS", "-m", "5", "http://10.89.2.200")
		return err == nil, fmt.Sprintf("%v: %s", err, output)
	})
	names := lab.must(lab.lab("exec", "--", "getent", "hosts", "istio.cluster-b.lab", "peer.host.lab"))
	if !strings.Contains(names, "10.89.2.128") || !strings.Contains(names, "10.89.0.1") {
		t.Errorf("public names in the fabric: %s", names)
	}
}

func linkCut(t *testing.T, lab *runningLab) {
	reach := func() error {
		_, err := lab.kubectl("-n", "test", "exec", "daemonset/echo", "--", "client", "--timeout", "2s", "http://10.89.2.200")
		return err
	}
	lab.must(lab.lab("link", "cut", "cluster-a", "cluster-b"))
	if reach() == nil {
		t.Error("cluster-b answers across a link that is cut")
	}
	lab.must(lab.lab("link", "mend", "cluster-b", "cluster-a"))
	lab.eventually(time.Minute, "cluster-b answers across a link that was mended", func() (bool, string) {
		err := reach()
		return err == nil, fmt.Sprint(err)
	})
}

func nodeRestarts(t *testing.T, lab *runningLab) {
	before := lab.describe().Clusters[0].Nodes[0].PID
	lab.must(lab.lab("node", "restart", "cluster-a-1"))
	if after := lab.describe().Clusters[0].Nodes[0].PID; after == before || after == 0 {
		t.Errorf("pid %d before, %d after", before, after)
	}
	lab.nodeReady("cluster-a-1")
	lab.rolledOut("kube-system", coreDNS)
}

// nodeReady waits until the control plane answers and calls the node Ready.
func (l *runningLab) nodeReady(node string) {
	l.t.Helper()
	l.eventually(2*time.Minute, node+" is Ready", func() (bool, string) {
		output, err := l.kubectl("wait", "--for=condition=Ready", "node/"+node, "--timeout=1s")
		return err == nil, output
	})
}

// rolledOut waits until every Pod of the workload is available. That takes a while
// after a node was restarted: the others must notice that their connections are dead.
func (l *runningLab) rolledOut(namespace, workload string) {
	l.t.Helper()
	l.eventually(2*time.Minute, workload+" is available", func() (bool, string) {
		output, err := l.kubectl("-n", namespace, "rollout", "status", workload, "--timeout=1s")
		return err == nil, output
	})
}

const pair = `
apiVersion: apps/v1
kind: Deployment
metadata: {namespace: test, name: pair}
spec:
  replicas: 2
  selector: {matchLabels: {app: pair}}
  template:
    metadata: {labels: {app: pair}}
    spec:
      terminationGracePeriodSeconds: 1
      tolerations:
        - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 1}
        - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 1}
      topologySpreadConstraints:
        - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: pair}}}
      containers: [{name: pause, image: "registry.k8s.io/pause:3.10"}]
`

func nodeLost(t *testing.T, lab *runningLab) {
	lab.must(lab.kubectlOf("cluster-a", pair, "apply", "-f", "-"))
	lab.rolledOut("test", "deployment/pair")
	readyOn := func(node string) int {
		nodes, err := lab.kubectl("-n", "test", "get", "pods", "-l", "app=pair", "-o",
			`jsonpath={range .items[?(@.status.containerStatuses[0].ready==true)]}{.spec.nodeName}{.metadata.deletionTimestamp}{"\n"}{end}`)
		if err != nil {
			return 0
		}
		return strings.Count(nodes+"\n", node+"\n")
	}
	if one, two := readyOn("cluster-a-1"), readyOn("cluster-a-2"); one != 1 || two != 1 {
		t.Fatalf("%d and %d Pods on the two nodes", one, two)
	}
	lab.must(lab.lab("node", "stop", "cluster-a-2"))
	begun := time.Now()
	lab.eventually(3*time.Minute, "both Pods run on the node that is left", func() (bool, string) {
		return readyOn("cluster-a-1") == 2, lab.must(lab.kubectl("-n", "test", "get", "pods", "-o", "wide"))
	})
	t.Logf("its Pod came back after %s", time.Since(begun).Round(time.Second))
	lab.must(lab.lab("node", "start", "cluster-a-2"))
	lab.nodeReady("cluster-a-2")
}

func evidenceCollected(t *testing.T, lab *runningLab) {
	folder := lab.must(lab.lab("collect"))
	for _, file := range []string{"cluster-a/pods.txt", "cluster-a/events.txt", "cluster-a/nodes/cluster-a-2/kubelet.log", "cluster-b/nodes/cluster-b-1/kube-apiserver.log"} {
		if matches, err := filepath.Glob(filepath.Join(folder, file)); err != nil || len(matches) != 1 {
			t.Errorf("%s: %v, %v", file, matches, err)
		}
	}
	if logs, err := filepath.Glob(filepath.Join(folder, "cluster-a/nodes/*/pods/kube-system_coredns-*/coredns/*.log")); err != nil || len(logs) == 0 {
		t.Errorf("no log of CoreDNS: %v", err)
	}
}
