//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"

	"k8s.io/apimachinery/pkg/util/intstr"
)

const (
	// echoImage has Istio's echo server, and as `client` its client.
	echoImage = "lab.local/echo:1"
	// applicationPort is where the Pods of tests speak HTTP, rawPort where they speak TCP.
	applicationPort, rawPort = 8080, 9000
	// applicationContainer is that of the echo server.
	applicationContainer = "application"
	// requestTimeout of one request; longer than it takes a sidecar to report that a server cannot be reached.
	requestTimeout = 5 * time.Second
	// stallTimeout of a request that is sent once: a program that the machine does not run for some seconds loses nothing.
	stallTimeout = 30 * time.Second
)

// newPod is an application's Pod with the label app and those given. It echoes what it is sent.
func newPod(namespace, app string, labels, annotations map[string]string) *corev1.Pod {
	pod := &corev1.Pod{}
	pod.Namespace, pod.Name = namespace, app
	pod.Labels, pod.Annotations = map[string]string{"app": app}, annotations
	for name, value := range labels {
		pod.Labels[name] = value
	}
	soon := int64(1)
	pod.Spec = corev1.PodSpec{
		TerminationGracePeriodSeconds: &soon,
		Containers: []corev1.Container{{
			Name: applicationContainer, Image: echoImage,
			Args: []string{
				"--port=" + strconv.Itoa(applicationPort), "--tcp=" + strconv.Itoa(rawPort), "--grpc=7070", "--version=" + labels["version"],
			},
			Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: applicationPort}, {Name: "tcp-raw", ContainerPort: rawPort}},
			ReadinessProbe: &corev1.Probe{
				ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: intstr.FromInt32(applicationPort)}},
				// Ready soon; a Pod that the machine does not run for some seconds stays an endpoint.
				PeriodSeconds: 1, TimeoutSeconds: 5, FailureThreshold: 30,
			},
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("1m"), corev1.ResourceMemory: resource.MustParse("16Mi"),
			}},
		}},
	}
	return pod
}

// answer to requests.
type answer struct {
	// status of HTTP, 200 for TCP.
	status int
	// pod that has answered, by the name that it knows itself by.
	pod string
	// caller and server are the SPIFFE IDs that the server's sidecar has verified and has proven; empty without mutual TLS.
	caller, server string
	// text of all that was received, header of an HTTP answer to the test itself.
	text   string
	header http.Header
}

func (a answer) String() string {
	return fmt.Sprintf("status %d by Pod %q, which is %q to caller %q", a.status, a.pod, a.server, a.caller)
}

// call the URL from a Pod, through its sidecar when it has one, on a connection
// of its own. An HTTP error is an answer. flags are the echo client's.
func (c *cluster) call(pod *corev1.Pod, url string, flags ...string) (answer, error) {
	answers, err := c.callAll(pod, url, flags...)
	if err != nil {
		return answer{}, err
	}
	return answers[0], nil
}

// callAll is call for clients that send several requests.
func (c *cluster) callAll(pod *corev1.Pod, url string, flags ...string) ([]answer, error) {
	command := append([]string{"client", url, "--timeout=" + requestTimeout.String(), "--new-connection-per-request"}, flags...)
	output, err := c.execute(pod, applicationContainer, command...)
	if err != nil {
		return nil, fmt.Errorf("call %s from Pod %s: %w", url, pod.Name, err)
	}
	return readAnswers(output)
}

// readAnswers of the echo client: lines such as "[0] StatusCode=200" and "[0 body] Hostname=web".
func readAnswers(output string) ([]answer, error) {
	var answers []answer
	for line := range strings.Lines(output) {
		head, field, ok := strings.Cut(strings.TrimSpace(line), "] ")
		number, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(head, "["), " body"))
		if !ok || !strings.HasPrefix(head, "[") || err != nil {
			continue
		}
		for len(answers) <= number {
			answers = append(answers, answer{})
		}
		answers[number].read(field)
	}
	if len(answers) == 0 {
		return nil, fmt.Errorf("no answer is in %q", output)
	}
	return answers, nil
}

func (a *answer) read(field string) {
	a.text += field + "\n"
	name, value, _ := strings.Cut(field, "=")
	switch name {
	case "StatusCode":
		a.status, _ = strconv.Atoi(value)
	case "Hostname":
		a.pod = value
	case "RequestHeader":
		if certificate, ok := strings.CutPrefix(value, "X-Forwarded-Client-Cert:"); ok {
			a.caller, a.server = proven(certificate)
		}
	}
}

// proven are the identities in Envoy's header: whose certificate it has verified, and whose it has shown.
func proven(certificate string) (caller, server string) {
	for _, field := range strings.Split(certificate, ";") {
		switch name, value, _ := strings.Cut(field, "="); name {
		case "URI":
			caller = value
		case "By":
			server = value
		}
	}
	return caller, server
}

// execute a command in a Pod's container, and return what it writes.
func (c *cluster) execute(pod *corev1.Pod, container string, command ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), prompt+requestTimeout)
	defer cancel()
	request := c.typed.CoreV1().RESTClient().Post().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: container, Command: command, Stdout: true, Stderr: true}, scheme.ParameterCodec)
	executor, err := remotecommand.NewSPDYExecutor(c.config, "POST", request.URL())
	if err != nil {
		return "", err
	}
	var output, complaints bytes.Buffer
	if err := executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &output, Stderr: &complaints}); err != nil {
		return "", fmt.Errorf("%w: %s%s", err, lastLine(output.String()), lastLine(complaints.String()))
	}
	return output.String(), nil
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndex(text, "\n")+1:]
}

// answers is what is missing until calls of the URL from the Pod are answered as wanted says.
func (c *cluster) answers(pod *corev1.Pod, url string, wanted func(answer) (missing string), flags ...string) (missing string) {
	got, err := c.call(pod, url, flags...)
	if err != nil {
		return err.Error()
	}
	return wanted(got)
}

// by is the wish for an answer with status 200 of that Pod.
func by(pod string) func(answer) string {
	return func(got answer) string {
		if got.status != 200 || got.pod != pod {
			return fmt.Sprintf("it is %s, not status 200 by Pod %s", got, pod)
		}
		return ""
	}
}

// between is by, and that both sides have proven these identities to each other; "" for no mutual TLS.
func between(caller, server, pod string) func(answer) string {
	return func(got answer) string {
		if missing := by(pod)(got); missing != "" {
			return missing
		}
		if got.caller != caller || got.server != server {
			return fmt.Sprintf("it is %s, not of %q to caller %q", got, server, caller)
		}
		return ""
	}
}

// httpStatus is the wish for an answer of HTTP with that status.
func httpStatus(wanted int) func(answer) string {
	return func(got answer) string {
		if got.status != wanted {
			return fmt.Sprintf("it is %s, not status %d", got, wanted)
		}
		return ""
	}
}

// isRejected is what is missing until a call of the URL fails on its way: the caller's sidecar
// answers it with an error, or there is no answer at all.
func (c *cluster) isRejected(pod *corev1.Pod, url string, flags ...string) (missing string) {
	if got, err := c.call(pod, url, flags...); err == nil && got.status < 500 {
		return "it is answered with " + got.String()
	}
	return ""
}

// awaitAnswer waits until a call is answered as wanted.
func (c *cluster) awaitAnswer(t *testing.T, what string, pod *corev1.Pod, url string, wanted func(answer) string, flags ...string) {
	t.Helper()
	eventually(t, prompt, what, func() string { return c.answers(pod, url, wanted, flags...) })
}

// webURL of a Service's HTTP port, rawURL of its TCP port.
func webURL(host string) string { return (&url.URL{Scheme: "http", Host: host, Path: "/"}).String() }

func rawURL(host string) string { return fmt.Sprintf("tcp://%s:%d", host, rawPort) }
