package kubelet

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"
)

// NodeName of the one node that every lab cluster has.
const NodeName = "lab-node"

var nodeCapacity = corev1.ResourceList{
	corev1.ResourceCPU:              resource.MustParse("4"),
	corev1.ResourceMemory:           resource.MustParse("8Gi"),
	corev1.ResourceEphemeralStorage: resource.MustParse("50Gi"),
	corev1.ResourcePods:             resource.MustParse("240"),
}

// nodeLabels of a node that is control plane and worker in one.
var nodeLabels = map[string]string{
	"kubernetes.io/hostname":                NodeName,
	"kubernetes.io/os":                      "linux",
	"kubernetes.io/arch":                    "amd64",
	"node-role.kubernetes.io/control-plane": "",
	"node-role.kubernetes.io/lab":           "",
}

// RegisterNode creates the cluster's node, ready for Pods.
func RegisterNode(ctx context.Context, client kubernetes.Interface, internalIP, podCIDR, version string) error {
	nodes := client.CoreV1().Nodes()
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: NodeName, Labels: nodeLabels},
		Spec:       corev1.NodeSpec{PodCIDR: podCIDR, PodCIDRs: []string{podCIDR}},
	}
	if _, err := nodes.Create(ctx, node, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create Node %s: %w", NodeName, err)
	}
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		node, err := nodes.Get(ctx, NodeName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		// Admission taints a new node as not ready; nobody else is there to remove it.
		node.Spec.Taints = nil
		if node, err = nodes.Update(ctx, node, metav1.UpdateOptions{}); err != nil {
			return err
		}
		now := metav1.Now()
		node.Status = corev1.NodeStatus{
			Capacity:    nodeCapacity,
			Allocatable: nodeCapacity,
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: internalIP},
				{Type: corev1.NodeHostName, Address: NodeName},
			},
			Conditions: []corev1.NodeCondition{{
				Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady",
				Message: "the lab runs this node's Pods as processes", LastHeartbeatTime: now, LastTransitionTime: now,
			}},
			NodeInfo: corev1.NodeSystemInfo{
				KubeletVersion: version, OperatingSystem: "linux", Architecture: "amd64",
				OSImage: "lab", KernelVersion: "lab", ContainerRuntimeVersion: "lab://1",
			},
		}
		_, err = nodes.UpdateStatus(ctx, node, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		return fmt.Errorf("make Node %s ready: %w", NodeName, err)
	}
	return nil
}
