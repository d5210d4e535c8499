// Package rollout waits for workloads, and says why their Pods are not ready.
package rollout

import (
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// DeploymentMissing says what a Deployment lacks, nothing when all its Pods are current and available.
func DeploymentMissing(deployment *appsv1.Deployment) string {
	wanted := int32(1)
	if deployment.Spec.Replicas != nil {
		wanted = *deployment.Spec.Replicas
	}
	status := deployment.Status
	if status.ObservedGeneration >= deployment.Generation && status.UpdatedReplicas >= wanted &&
		status.AvailableReplicas >= wanted && status.Replicas == status.UpdatedReplicas {
		return ""
	}
	return fmt.Sprintf("Deployment %s/%s: %d of %d Pods are available", deployment.Namespace, deployment.Name, status.AvailableReplicas, wanted)
}

// DaemonSetMissing says what a DaemonSet lacks, nothing when every node that is to have a Pod has an available one.
func DaemonSetMissing(set *appsv1.DaemonSet) string {
	status := set.Status
	if status.ObservedGeneration >= set.Generation && status.DesiredNumberScheduled > 0 &&
		status.UpdatedNumberScheduled >= status.DesiredNumberScheduled && status.NumberAvailable >= status.DesiredNumberScheduled {
		return ""
	}
	return fmt.Sprintf("DaemonSet %s/%s: %d of %d Pods are available", set.Namespace, set.Name, status.NumberAvailable, status.DesiredNumberScheduled)
}

// Explain says why the Pods of a selector are not ready: what their containers
// wait for, how they ended, and the last warning about them. It begins with
// ": " unless there is nothing to say.
func Explain(ctx context.Context, client kubernetes.Interface, namespace string, selector *metav1.LabelSelector) string {
	pods, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(selector)})
	if err != nil {
		return ": " + err.Error()
	}
	var reasons []string
	for i := range pods.Items {
		pod := &pods.Items[i]
		if reason := PodMissing(pod); reason != "" {
			reasons = append(reasons, "Pod "+pod.Name+": "+reason+lastWarning(ctx, client, pod))
		}
	}
	if len(reasons) == 0 {
		return ""
	}
	return ": " + strings.Join(reasons, "; ")
}

// PodMissing says why a Pod is not ready; nothing when it is.
func PodMissing(pod *corev1.Pod) string {
	if condition(pod, corev1.PodReady).Status == corev1.ConditionTrue {
		return ""
	}
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for _, status := range statuses {
			if reason := containerMissing(status); reason != "" {
				return "container " + status.Name + ": " + reason
			}
		}
	}
	if scheduled := condition(pod, corev1.PodScheduled); scheduled.Status == corev1.ConditionFalse {
		return scheduled.Reason + ": " + scheduled.Message
	}
	if ready := condition(pod, corev1.PodReady); ready.Message != "" {
		return ready.Message
	}
	return "it is " + string(pod.Status.Phase)
}

func condition(pod *corev1.Pod, kind corev1.PodConditionType) corev1.PodCondition {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == kind {
			return condition
		}
	}
	return corev1.PodCondition{}
}

// containerMissing says what keeps a container from running, nothing when it runs or has just begun to be made.
func containerMissing(status corev1.ContainerStatus) string {
	var parts []string
	if waiting := status.State.Waiting; waiting != nil && waiting.Reason != "ContainerCreating" && waiting.Reason != "PodInitializing" {
		parts = append(parts, strings.TrimSuffix(waiting.Reason+": "+waiting.Message, ": "))
	}
	ended := status.State.Terminated
	if ended == nil {
		ended = status.LastTerminationState.Terminated
	}
	if ended != nil && ended.ExitCode != 0 {
		parts = append(parts, strings.TrimSpace(fmt.Sprintf("ended with %d (%s) %s", ended.ExitCode, ended.Reason, ended.Message)))
	}
	return strings.Join(parts, ", ")
}

// lastWarning is the newest Warning Event about a Pod: probes that fail and images that cannot be pulled are said there.
func lastWarning(ctx context.Context, client kubernetes.Interface, pod *corev1.Pod) string {
	events, err := client.CoreV1().Events(pod.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: "type=Warning,involvedObject.uid=" + string(pod.UID),
	})
	if err != nil || len(events.Items) == 0 {
		return ""
	}
	last := events.Items[0]
	for _, event := range events.Items[1:] {
		if event.LastTimestamp.After(last.LastTimestamp.Time) {
			last = event
		}
	}
	return fmt.Sprintf(" (%s: %s)", last.Reason, last.Message)
}
