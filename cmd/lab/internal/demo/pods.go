package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/exec"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
)

// probeContainer runs the program of cmd/lab/probe.
const probeContainer = "probe"

// pods run commands in Pods of a Deployment, as `kubectl exec` does.
type pods interface {
	// Exec ends when the command does, or with the context. A command that ends with a code other than 0 is no error.
	// stdin may be nil. The end of the context does not end the command in the Pod: a long-running command ends with its input.
	Exec(ctx context.Context, namespace, deployment string, command []string, stdin io.Reader, stdout io.Writer) error
}

// podsOf a cluster.
func podsOf(clients *kube.Clients) pods { return clusterPods{clients} }

type clusterPods struct{ clients *kube.Clients }

func (p clusterPods) Exec(ctx context.Context, namespace, deployment string, command []string, stdin io.Reader, stdout io.Writer) error {
	pod, err := p.find(ctx, namespace, deployment)
	if err != nil {
		return fmt.Errorf("run %v in Deployment %s/%s: %w", command, namespace, deployment, err)
	}
	request := p.clients.Typed.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{
			Container: probeContainer, Command: command, Stdin: stdin != nil, Stdout: true, Stderr: true,
		}, scheme.ParameterCodec)
	executor, err := remotecommand.NewWebSocketExecutor(p.clients.Config, "GET", request.URL().String())
	if err != nil {
		return fmt.Errorf("run %v in Pod %s/%s: %w", command, namespace, pod, err)
	}
	var complaint bytes.Buffer
	err = executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: stdin, Stdout: stdout, Stderr: &complaint})
	var code exec.CodeExitError
	if err == nil || errors.As(err, &code) && complaint.Len() == 0 {
		return nil
	}
	return fmt.Errorf("run %v in Pod %s/%s: %w %s", command, namespace, pod, err, complaint.String())
}

// find a ready Pod of the Deployment; its label app has the same name.
func (p clusterPods) find(ctx context.Context, namespace, deployment string) (string, error) {
	found, err := p.clients.Typed.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + deployment})
	if err != nil {
		return "", err
	}
	for _, pod := range found.Items {
		for _, condition := range pod.Status.Conditions {
			if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil {
				return pod.Name, nil
			}
		}
	}
	return "", errors.New("no Pod is ready")
}
