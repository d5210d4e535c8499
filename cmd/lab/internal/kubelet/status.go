package kubelet

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/podnet"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/process"
)

// NotInLab is the reason in the status of Pods that the lab has no program for.
const NotInLab = "NotInLab"

// ReadyAnnotation on a Pod, "true", has it said to be ready although nothing of it runs: istiod
// learns of Pods when they are ready, and may miss endpoints whose Pods never are.
const ReadyAnnotation = "lab.istio.deckhouse.io/ready"

// observation of one container, from which its status is written.
type observation struct {
	process        process.Status
	started, ready bool
	message        string
}

// podStatus is the status of a Pod whose containers are observed as given.
// It changes the times of conditions only where the conditions change.
func podStatus(pod *corev1.Pod, address podnet.Address, observed map[string]observation, now metav1.Time) corev1.PodStatus {
	status := *pod.Status.DeepCopy()
	status.PodIP = address.Shown.String()
	status.PodIPs = []corev1.PodIP{{IP: status.PodIP}}
	if status.StartTime == nil {
		status.StartTime = &now
	}
	status.Phase = corev1.PodPending
	status.Message, status.Reason = "", ""
	status.ContainerStatuses = nil
	allReady, why := true, ""
	for i := range pod.Spec.Containers {
		spec := &pod.Spec.Containers[i]
		seen := observed[spec.Name]
		if seen.process.PID != 0 {
			status.Phase = corev1.PodRunning
		}
		if !seen.ready {
			allReady = false
			why = fmt.Sprintf("container %q is not ready: %s", spec.Name, waitingFor(seen))
		}
		status.ContainerStatuses = append(status.ContainerStatuses, containerStatus(spec, seen))
	}
	setCondition(&status, corev1.PodScheduled, true, "", "", now)
	setCondition(&status, corev1.PodInitialized, true, "", "", now)
	setCondition(&status, corev1.ContainersReady, allReady, "ContainersNotReady", why, now)
	setCondition(&status, corev1.PodReady, allReady, "ContainersNotReady", why, now)
	return status
}

// unrunnableStatus is the status of a Pod that the lab has no program for. It
// has an address, so that what lists Pods by address knows it, as not ready
// unless the Pod asks for the opposite.
func unrunnableStatus(pod *corev1.Pod, address podnet.Address, why string, now metav1.Time) corev1.PodStatus {
	status := *pod.Status.DeepCopy()
	status.PodIP = address.Shown.String()
	status.PodIPs = []corev1.PodIP{{IP: status.PodIP}}
	ready := pod.Annotations[ReadyAnnotation] == "true"
	status.Phase = corev1.PodPending
	state := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: NotInLab, Message: why}}
	if ready {
		status.Phase = corev1.PodRunning
		state = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: pod.CreationTimestamp}}
	}
	status.Reason, status.Message = NotInLab, why
	status.ContainerStatuses = nil
	for i := range pod.Spec.Containers {
		spec := &pod.Spec.Containers[i]
		status.ContainerStatuses = append(status.ContainerStatuses, corev1.ContainerStatus{
			Name: spec.Name, Image: spec.Image, Ready: ready, Started: &ready, State: state,
		})
	}
	setCondition(&status, corev1.PodScheduled, true, "", "", now)
	setCondition(&status, corev1.ContainersReady, ready, NotInLab, why, now)
	setCondition(&status, corev1.PodReady, ready, NotInLab, why, now)
	return status
}

func waitingFor(seen observation) string {
	switch {
	case seen.process.StartError != nil:
		return seen.process.StartError.Error()
	case seen.process.State == process.BackOff && seen.process.Last != nil:
		return "it ended with " + seen.process.Last.Reason
	case seen.process.State != process.Running:
		return "it is being started"
	case seen.message != "":
		return seen.message
	}
	return "its probes have not passed yet"
}

func containerStatus(spec *corev1.Container, seen observation) corev1.ContainerStatus {
	status := corev1.ContainerStatus{
		Name: spec.Name, Image: spec.Image, Ready: seen.ready, Started: &seen.started,
		RestartCount: int32(seen.process.Restarts),
	}
	if seen.process.PID != 0 {
		status.ContainerID = fmt.Sprintf("lab://%d", seen.process.PID)
	}
	if last := seen.process.Last; last != nil {
		status.LastTerminationState.Terminated = terminated(last)
	}
	switch {
	case seen.process.State == process.Running:
		status.State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(seen.process.Started).Rfc3339Copy()}
	case seen.process.State == process.Stopped && seen.process.Last != nil:
		status.State.Terminated = terminated(seen.process.Last)
	default:
		status.State.Waiting = &corev1.ContainerStateWaiting{Reason: waitingReason(seen), Message: waitingFor(seen)}
	}
	return status
}

func waitingReason(seen observation) string {
	switch {
	case seen.process.StartError != nil:
		return "CreateContainerConfigError"
	case seen.process.Last != nil:
		return "CrashLoopBackOff"
	}
	return "ContainerCreating"
}

func terminated(exit *process.Exit) *corev1.ContainerStateTerminated {
	state := &corev1.ContainerStateTerminated{
		ExitCode: int32(exit.Code), Signal: int32(exit.Signal), Reason: "Error", Message: exit.Reason,
		StartedAt:  metav1.NewTime(exit.Started).Rfc3339Copy(),
		FinishedAt: metav1.NewTime(exit.Ended).Rfc3339Copy(),
	}
	switch {
	case exit.Signal != 0:
		state.ExitCode = int32(128 + exit.Signal)
	case exit.Code == 0:
		state.Reason = "Completed"
	}
	return state
}

func setCondition(status *corev1.PodStatus, kind corev1.PodConditionType, is bool, reason, message string, now metav1.Time) {
	condition := corev1.PodCondition{Type: kind, Status: corev1.ConditionFalse, Reason: reason, Message: message, LastTransitionTime: now}
	if is {
		condition = corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: now}
	}
	for i := range status.Conditions {
		if present := &status.Conditions[i]; present.Type == kind {
			if present.Status == condition.Status {
				condition.LastTransitionTime = present.LastTransitionTime
			}
			condition.ObservedGeneration = present.ObservedGeneration
			*present = condition
			return
		}
	}
	status.Conditions = append(status.Conditions, condition)
}
