//go:build e2e

package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/deckhouse-mesh/istio/lib/ca"
	"github.com/deckhouse-mesh/istio/lib/istioversion"
)

// soak has the suite run TestSoak, in a lab of its own with two nodes a cluster (`make soak`).
var soak = flag.Bool("soak", false, "run the tests named TestSoak, which take about half an hour")

// rotationDeferral is how long the module lets kubelets renew files before it proceeds with a rotation.
const rotationDeferral = 3 * time.Minute

// soakOnly skips the test where nobody asked for it.
func soakOnly(t *testing.T) {
	t.Helper()
	if !*soak {
		t.Skip("it takes long: make soak")
	}
}

// TestSoak disturbs what requests pass through, and what takes long. A gateway
// Pod that ends takes the streams through it with it, so these break, and are counted.
func TestSoak(t *testing.T) {
	soakOnly(t)
	load := startLoad(t)
	gateways := len(suite.a.described(t).Nodes)
	for _, each := range []disturbance{
		{name: "the peer's services change 1,000 times", happen: func(t *testing.T) { t.Helper(); changeServices(t, 1000) }},
		// Nodes that have reported nothing for so long are taken for lost until they report: for a moment no Pod is an endpoint.
		{
			name: "the API servers are away for two minutes", happen: func(t *testing.T) { t.Helper(); freezeAPIServers(t, 2*time.Minute) },
			failed: loadRate, broken: loadStreams,
		},
		// Servers are replaced once, and twice: a stream ends with its server.
		{name: "the root is rotated in both clusters", happen: func(t *testing.T) { t.Helper(); rotateRoots(t, load) }, broken: loadStreams},
		// The gateways follow the version, back and forth, and end as often as the servers.
		{
			name: "the control plane of the publisher is upgraded", happen: func(t *testing.T) { t.Helper(); upgradePublisher(t, load) },
			failed: 2 * gateways * inFlight, broken: 2 * loadStreams * (1 + gateways),
		},
		{name: "the gateways are replaced one after the other", happen: replaceGateways, failed: gateways * inFlight, broken: loadStreams * gateways},
		{name: "a node with a gateway is drained", happen: drainGatewayNode, failed: inFlight, broken: loadStreams},
		// A VirtualService of the caller's repeats what is safe to repeat: nothing but streams is lost.
		{
			name:   "the gateways are replaced, and lost requests repeated",
			happen: func(t *testing.T) { t.Helper(); load.repeatLost(t); replaceGateways(t) }, broken: loadStreams * gateways,
		},
		{name: "a gateway is killed", happen: killGateway, failed: loadRate, broken: loadStreams},
	} {
		load.withstands(t, each)
	}
}

// repeatLost has the client's sidecar repeat a request whose connection ends.
func (l *crossingLoad) repeatLost(t *testing.T) {
	t.Helper()
	suite.a.apply(t, virtualServices, "VirtualService", l.client.Namespace, "repeat-lost", map[string]any{
		"hosts": []any{l.host},
		"http": []any{map[string]any{
			"retries": map[string]any{"attempts": int64(2), "retryOn": "reset,connect-failure"},
			"route":   []any{map[string]any{"destination": map[string]any{"host": l.host}}},
		}},
	})
}

// replaceServers starts as many new servers, and ends the present ones once those are ready.
func (l *crossingLoad) replaceServers(t *testing.T) {
	t.Helper()
	pods := suite.b.typed.CoreV1().Pods(l.namespace)
	list, err := pods.List(context.Background(), metav1.ListOptions{LabelSelector: "app=server"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range list.Items {
		suite.b.runReady(t, loadServer(l.namespace, fmt.Sprintf("server-%d-%d", time.Now().Unix(), i)))
	}
	for _, former := range list.Items {
		if err := pods.Delete(context.Background(), former.Name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, restarted, "the former servers have ended", func() string {
		now, err := pods.List(context.Background(), metav1.ListOptions{LabelSelector: "app=server"})
		return want(len(now.Items), err)(len(list.Items))
	})
}

// rotateRoots replaces the CA of both clusters as docs/CA.md says, a person
// telling the module to go on, as early as possible, where it would wait for hours, and replaces the servers under the new CA.
func rotateRoots(t *testing.T, load *crossingLoad) {
	t.Helper()
	for _, cluster := range []*cluster{suite.a, suite.b} {
		former := cluster.caInUse(t)
		other, err := ca.Generate(cluster.described(t).ClusterDomain)
		if err != nil {
			t.Fatal(err)
		}
		namespace := cluster.namespace(t)
		cluster.configure(t, suite.module, map[string]any{"settings": map[string]any{"ca": map[string]any{"cert": other.Cert, "key": other.Key}}})
		t.Cleanup(func() { cluster.configure(t, suite.module, map[string]any{"settings": map[string]any{"ca": nil}}) })
		eventually(t, scheduled, "istiod hands out both roots", func() string { return cluster.handsOut(namespace, former.Root, other.Root) })
		cluster.requestOfRotation(t, ca.Proceed)
		eventually(t, rotationDeferral+restarted, "the new CA is in use", func() string {
			return unless(cluster.caInUse(t).Cert == other.Cert, "the former CA is")
		})
		if missing := cluster.lacksRootFile(t, other.Root); missing != "" {
			t.Errorf("%s has the new CA before its proxies can verify it: %s", cluster.name, missing)
		}
		eventually(t, scheduled, "the new CA signs", func() string {
			certificate := cluster.certify(t, defaultIstio(), namespace)
			_, err := certificate.Verify(pool(t, other.Root), time.Now())
			return because(err)
		})
	}
	load.replaceServers(t)
}

// lacksRootFile says which Pod with a proxy has not the root in the file with which the proxy verifies its istiod:
// kubelets renew it at intervals. The images have no program that shows a file, so the nodes' folders are read.
func (c *cluster) lacksRootFile(t *testing.T, root string) (missing string) {
	t.Helper()
	oneLine := strings.NewReplacer("\n", "", "\r", "")
	nodes := map[string]int{}
	for _, node := range c.described(t).Nodes {
		nodes[node.Name] = node.PID
	}
	pods, err := c.typed.CoreV1().Pods(metav1.NamespaceAll).List(context.Background(), metav1.ListOptions{})
	if err != nil {
		return err.Error()
	}
	seen := 0
	for i := range pods.Items {
		pod := &pods.Items[i]
		if sidecarIn(pod) == nil || pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodRunning {
			continue
		}
		file, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(nodes[pod.Spec.NodeName]), "root", "var", "lib", "kubelet", "pods", string(pod.UID),
			"volumes", "kubernetes.io~configmap", "istiod-ca-cert", "root-cert.pem"))
		if missing := because(err) + unless(strings.Contains(oneLine.Replace(string(file)), oneLine.Replace(root)), "the root is not in its file"); missing != "" {
			return pod.Name + ": " + missing
		}
		seen++
	}
	return unless(seen > 0, "no Pod has a proxy")
}

// upgradePublisher takes cluster-b from the version before the default one to
// the default one, as docs/UPGRADE.md says.
func upgradePublisher(t *testing.T, load *crossingLoad) {
	t.Helper()
	versions := istioversion.All()
	older := versions[slices.Index(versions, defaultIstio())+1] // the newest comes first
	b := suite.b
	b.reconfigure(t, map[string]any{"globalVersion": older.Version, "additionalVersions": []any{defaultIstio().Version}})
	b.awaitMesh(t, older)
	b.awaitRevision(t, newPod(load.namespace, "later", nil, nil), older.Revision())
	load.replaceServers(t) // their sidecars are of the older version now
	b.configure(t, suite.module, map[string]any{"settings": map[string]any{
		"globalVersion": defaultIstio().Version, "additionalVersions": []any{older.Version},
	}})
	b.awaitMesh(t, defaultIstio())
	b.awaitRevision(t, newPod(load.namespace, "later", nil, nil), defaultIstio().Revision())
	load.replaceServers(t)
	b.configure(t, suite.module, map[string]any{"settings": map[string]any{"additionalVersions": nil}})
	eventually(t, scheduled, "the older version goes", func() string { return b.gone(older) })
}

// awaitGateways waits until as many gateways are ready besides that of the given name.
func (c *cluster) awaitGateways(t *testing.T, count int, without string) {
	t.Helper()
	eventually(t, restarted, fmt.Sprintf("%d gateways are ready in %s", count, c.name), func() string {
		pods, err := c.pods(gateway)
		if err != nil {
			return err.Error()
		}
		ready := 0
		for _, pod := range pods {
			status := containerStatus(&pod, gateway.container)
			if pod.Name != without && pod.DeletionTimestamp == nil && status != nil && status.Ready {
				ready++
			}
		}
		return want(ready, nil)(count)
	})
}

// replaceGateways of cluster-b as a rolling update does, one after the other.
func replaceGateways(t *testing.T) {
	t.Helper()
	pods, err := suite.b.pods(gateway)
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods {
		if err := suite.b.typed.CoreV1().Pods(pod.Namespace).Delete(context.Background(), pod.Name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		suite.b.awaitGateways(t, len(pods), pod.Name)
	}
}

// killGateway without a word, one of several.
func killGateway(t *testing.T) {
	t.Helper()
	pod, err := suite.b.readyPod(gateway)
	if err != nil {
		t.Fatal(err)
	}
	suite.b.killPod(t, pod, gateway.container)
	eventually(t, restarted, "the gateway is started again", func() string {
		now, err := suite.b.typed.CoreV1().Pods(pod.Namespace).Get(context.Background(), pod.Name, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		status := containerStatus(now, gateway.container)
		return want(status.Ready && status.RestartCount > containerStatus(pod, gateway.container).RestartCount, nil)(true)
	})
}

// drainGatewayNode cordons a node of cluster-b that runs none of the load's
// servers alone, evicts what a drain would evict, its gateway included, and takes the node back.
func drainGatewayNode(t *testing.T) {
	t.Helper()
	node := suite.b.described(t).Nodes[len(suite.b.described(t).Nodes)-1].Name
	suite.b.cordon(t, node, true)
	t.Cleanup(func() { suite.b.cordon(t, node, false) })
	pods, err := suite.b.typed.CoreV1().Pods(metav1.NamespaceAll).List(context.Background(), metav1.ListOptions{FieldSelector: "spec.nodeName=" + node})
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods.Items {
		if owner := metav1.GetControllerOf(&pod); owner == nil || owner.Kind == "DaemonSet" {
			continue // a drain leaves the Pods of DaemonSets, and the servers have nobody who would start others
		}
		eventually(t, restarted, "Pod "+pod.Name+" is evicted", func() string {
			err := suite.b.typed.CoreV1().Pods(pod.Namespace).EvictV1(context.Background(), &policyv1.Eviction{
				ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name},
			})
			if apierrors.IsNotFound(err) {
				return ""
			}
			return because(err)
		})
	}
	gateways, err := suite.b.pods(gateway)
	if err != nil {
		t.Fatal(err)
	}
	index := slices.IndexFunc(gateways, func(pod corev1.Pod) bool { return pod.Spec.NodeName == node })
	if index < 0 {
		t.Fatalf("node %s has no gateway", node)
	}
	// What the machine's end would do next.
	if err := suite.b.typed.CoreV1().Pods(moduleNamespace).Delete(context.Background(), gateways[index].Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	suite.b.cordon(t, node, false)
	suite.b.awaitGateways(t, len(gateways), gateways[index].Name)
}

// cordon a node, or take it back.
func (c *cluster) cordon(t *testing.T, node string, cordoned bool) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"unschedulable":%t}}`, cordoned)
	if _, err := c.typed.CoreV1().Nodes().Patch(context.Background(), node, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}
