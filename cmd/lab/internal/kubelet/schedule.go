package kubelet

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// schedule binds a Pod to the one node, unless its nodeSelector excludes it.
// Affinities are not looked at: on one node they could only keep Pods from running.
func (k *Kubelet) schedule(ctx context.Context, pod *corev1.Pod) error {
	for label, want := range pod.Spec.NodeSelector {
		if have, ok := nodeLabels[label]; !ok || have != want {
			message := fmt.Sprintf("0/1 nodes are available: node %s does not have the label %s=%s that nodeSelector asks for", NodeName, label, want)
			return k.updateStatus(ctx, pod, unschedulable(pod, message))
		}
	}
	binding := &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: NodeName},
	}
	err := k.options.Client.CoreV1().Pods(pod.Namespace).Bind(ctx, binding, metav1.CreateOptions{})
	if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
		return fmt.Errorf("bind Pod %s/%s to Node %s: %w", pod.Namespace, pod.Name, NodeName, err)
	}
	return nil
}

func unschedulable(pod *corev1.Pod, message string) corev1.PodStatus {
	status := *pod.Status.DeepCopy()
	setCondition(&status, corev1.PodScheduled, false, corev1.PodReasonUnschedulable, message, metav1.Now().Rfc3339Copy())
	return status
}
