package report

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/install"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/process"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/rollout"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/state"
	"github.com/deckhouse-mesh/istio/lib/names"
)

// istiodDebugPort is where istiod answers what it knows of remote clusters.
const istiodDebugPort = 8080

// Node is one machine of a cluster.
type Node struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	// PID of its first process; 0 when the node is stopped.
	PID int `json:"pid"`
	// Ready as the API server has it, Message why it is not.
	Ready   bool   `json:"ready"`
	Message string `json:"message,omitempty"`
	Logs    string `json:"logs"`
}

// cutCheck reports which links of a cluster are cut.
func cutCheck(cluster string, fabric *state.Fabric) []Check {
	if fabric == nil {
		return nil
	}
	var checks []Check
	for _, pair := range fabric.Cuts {
		if !slices.Contains(pair[:], cluster) {
			continue
		}
		checks = append(checks, Check{
			Name: "the network to the other clusters is whole", Message: fmt.Sprintf("the link between %s and %s is cut", pair[0], pair[1]),
			Hint: fmt.Sprintf("`lab link mend %s %s` ends that", pair[0], pair[1]),
		})
	}
	return checks
}

// askNodes asks the API server about the nodes that the lab has described.
func (c *Cluster) askNodes(ctx context.Context, clients *kube.Clients, described []state.Node) []Check {
	list, err := clients.Typed.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return []Check{{Name: "every node is Ready", Message: err.Error(), Hint: "see the logs of kube-apiserver in " + described[0].Logs}}
	}
	known := map[string]*corev1.Node{}
	for i := range list.Items {
		known[list.Items[i].Name] = &list.Items[i]
	}
	check := Check{Name: "every node is Ready", OK: true}
	var messages, hints []string
	for _, d := range described {
		node := newNode(d, known[d.Name])
		c.Nodes = append(c.Nodes, node)
		if node.Ready {
			continue
		}
		check.OK = false
		messages = append(messages, node.Name+": "+node.Message)
		if node.PID == 0 {
			hints = append(hints, "`lab node start "+node.Name+"` starts it")
		} else {
			hints = append(hints, "its logs are in "+node.Logs)
		}
	}
	check.Message, check.Hint = strings.Join(messages, "; "), strings.Join(hints, "; ")
	return []Check{check}
}

func newNode(described state.Node, known *corev1.Node) Node {
	node := Node{Name: described.Name, Address: described.Address, PID: described.PID, Logs: described.Logs}
	switch {
	case described.PID == 0 || !process.Alive(described.PID):
		node.PID, node.Message = 0, "it is stopped"
		return node
	case known == nil:
		node.Message = "the API server does not know it"
		return node
	}
	for _, condition := range known.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			node.Ready = condition.Status == corev1.ConditionTrue
			if !node.Ready {
				node.Message = condition.Message
			}
		}
	}
	if known.Spec.Unschedulable {
		node.Message = "cordoned"
	}
	return node
}

// podsCheck reports which Pods are not ready, and why.
func podsCheck(ctx context.Context, clients *kube.Clients, kubeconfig string) Check {
	check := Check{Name: "every Pod is ready", OK: true}
	pods, err := clients.Typed.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return Check{Name: check.Name, Message: err.Error(), Hint: "kubectl --kubeconfig " + kubeconfig + " get pods -A"}
	}
	var messages []string
	for i := range pods.Items {
		pod := &pods.Items[i]
		if pod.Status.Phase == corev1.PodSucceeded || pod.DeletionTimestamp != nil || pod.Labels["app"] == install.Unavailable {
			continue
		}
		if missing := rollout.PodMissing(pod); missing != "" {
			messages = append(messages, fmt.Sprintf("%s/%s: %s", pod.Namespace, pod.Name, missing))
		}
	}
	if len(messages) > 0 {
		check.OK, check.Message = false, strings.Join(messages, "; ")
		check.Hint = "kubectl --kubeconfig " + kubeconfig + " describe pod, logs"
	}
	return check
}

// reachIstiods opens ways to istiods' debug ports, by revision, until the context
// ends. istiod answers callers without credentials only from within its Pod.
func reachIstiods(ctx context.Context, clients *kube.Clients) (map[string]string, error) {
	pods, err := clients.Typed.CoreV1().Pods(names.Namespace).List(ctx, metav1.ListOptions{LabelSelector: istiodSelector})
	if err != nil {
		return nil, err
	}
	istiods := map[string]string{}
	for i := range pods.Items {
		pod := &pods.Items[i]
		revision := pod.Labels[revisionLabel]
		if _, reached := istiods[revision]; reached || rollout.PodMissing(pod) != "" {
			continue
		}
		address, err := clients.Forward(ctx, pod.Namespace, pod.Name, istiodDebugPort)
		if err != nil {
			return nil, err
		}
		istiods[revision] = "http://" + address
	}
	return istiods, nil
}
