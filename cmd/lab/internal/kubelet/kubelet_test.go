package kubelet

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/labtest"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/podnet"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/process"
)

const (
	testNamespace = "d8-istio"
	testDeadline  = 20 * time.Second
	// program prints what it is given and runs until it is told to end.
	program = `#!/bin/sh
echo "arg: $1"
echo "place: $2 $3"
echo "message: $MESSAGE"
echo "config: $(cat settings/greeting)"
trap 'echo ended; exit 0' TERM
while :; do sleep 0.01; done
`
)

// world is a kubelet on a fake API server, and what it made.
type world struct {
	*testing.T
	client *fake.Clientset
	dir    string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, client: fake.NewClientset(), dir: t.TempDir()}
	file := filepath.Join(w.dir, "program")
	if err := os.WriteFile(file, []byte(program), 0o755); err != nil {
		t.Fatal(err)
	}
	kubelet := New(Options{
		Client: w.client, APIServer: "https://127.0.0.1:1",
		Dir: filepath.Join(w.dir, "pods"), LogDir: filepath.Join(w.dir, "logs"),
		Program: programOf(file),
		Network: podnet.New(netip.MustParsePrefix("10.100.0.0/16"), func(byte) netip.Addr { return netip.MustParseAddr("127.0.0.1") }),
		Group:   process.NewGroup(w.dir), Changed: func() {},
	})
	t.Cleanup(func() {
		if left, err := process.Leftovers(w.dir); err != nil || len(left) > 0 {
			t.Errorf("processes %v outlive the kubelet (%v)", left, err)
		}
	})
	labtest.Run(t, kubelet.Run)
	labtest.AwaitWatches(t, w.client, "pods", "configmaps", "secrets")
	return w
}

// apiServerAnnotation of a test's Pod: where its program finds the API.
const apiServerAnnotation = "test/api-server"

// programOf runs the file for containers named "server", and tells it where it is.
func programOf(file string) func(*corev1.Pod, *corev1.Container) (Program, error) {
	return func(pod *corev1.Pod, container *corev1.Container) (Program, error) {
		if container.Name != "server" {
			return Program{}, fmt.Errorf("no program for container %q", container.Name)
		}
		return Program{Path: file, Process: "test-server", APIServer: pod.Annotations[apiServerAnnotation], Args: func(place Place) []string {
			return []string{place.Address.String(), filepath.Base(place.Kubeconfig)}
		}}, nil
	}
}

func newPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: "server-1", UID: "uid-1"},
		Spec: corev1.PodSpec{
			NodeName:                      NodeName,
			TerminationGracePeriodSeconds: new(int64(10)),
			Volumes: []corev1.Volume{{Name: "settings", VolumeSource: corev1.VolumeSource{
				ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}},
			}}},
			Containers: []corev1.Container{{
				Name: "server", Image: "registry.example/server",
				Args: []string{"--at=$(POD_IP):8443,/settings/greeting"},
				Env: []corev1.EnvVar{
					{Name: "POD_IP", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "status.podIP"}}},
					{Name: "MESSAGE", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
						LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}, Key: "greeting",
					}}},
				},
				VolumeMounts: []corev1.VolumeMount{{Name: "settings", MountPath: "/settings"}},
			}},
		},
	}
}

func settings(greeting string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: "settings"}, Data: map[string]string{"greeting": greeting},
	}
}

func (w *world) create(objects ...any) {
	w.Helper()
	for _, object := range objects {
		var err error
		switch object := object.(type) {
		case *corev1.Pod:
			_, err = w.client.CoreV1().Pods(testNamespace).Create(w.Context(), object, metav1.CreateOptions{})
		case *corev1.ConfigMap:
			_, err = w.client.CoreV1().ConfigMaps(testNamespace).Create(w.Context(), object, metav1.CreateOptions{})
		}
		if err != nil {
			w.Fatal(err)
		}
	}
}

// await waits until the Pod is as the condition wants it; the Pod is nil when it does not exist.
func (w *world) await(what string, condition func(*corev1.Pod) bool) *corev1.Pod {
	w.Helper()
	var pod *corev1.Pod
	for end := time.Now().Add(testDeadline); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		var err error
		if pod, err = w.client.CoreV1().Pods(testNamespace).Get(context.Background(), "server-1", metav1.GetOptions{}); apierrors.IsNotFound(err) {
			pod = nil
		} else if err != nil {
			w.Fatal(err)
		}
		if condition(pod) {
			return pod
		}
	}
	w.Fatalf("not within %s: %s; the Pod is %+v", testDeadline, what, pod)
	return nil
}

// deletePod as the API server does it, and wait until it is gone. The fake one
// knows no conflicts: a status written at the same time may undo the mark,
// which is therefore set again.
func (w *world) deletePod() {
	w.Helper()
	w.await("gone", func(pod *corev1.Pod) bool {
		if pod == nil {
			return true
		}
		if pod.DeletionTimestamp == nil {
			deleting := pod.DeepCopy()
			deleting.DeletionTimestamp = new(metav1.Now())
			_, err := w.client.CoreV1().Pods(testNamespace).Update(w.Context(), deleting, metav1.UpdateOptions{})
			if err != nil && !apierrors.IsNotFound(err) {
				w.Fatal(err)
			}
		}
		return false
	})
}

func (w *world) log() string {
	content, _ := os.ReadFile(filepath.Join(w.dir, "logs", "server-1_server.log"))
	return string(content)
}

func ready(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

func TestAPodRunsWithItsArgsEnvAndVolumes(t *testing.T) {
	w := newWorld(t)
	w.create(settings("hello"), newPod())
	pod := w.await("ready", func(p *corev1.Pod) bool { return p != nil && ready(p) })
	if pod.Status.Phase != corev1.PodRunning || !strings.HasPrefix(pod.Status.PodIP, "10.100.0.") {
		t.Errorf("phase %s, address %s", pod.Status.Phase, pod.Status.PodIP)
	}
	w.await("the program has spoken", func(*corev1.Pod) bool { return strings.Count(w.log(), "\n") >= 4 })
	volume := filepath.Join(w.dir, "pods", "d8-istio_server-1_uid-1", "volumes", "settings")
	want := "arg: --at=127.0.0.1:8443," + volume + "/greeting\nplace: 127.0.0.1 server.kubeconfig\nmessage: hello\nconfig: hello\n"
	if got := w.log(); got != want {
		t.Errorf("it said %q, want %q", got, want)
	}

	changed := settings("good evening")
	if _, err := w.client.CoreV1().ConfigMaps(testNamespace).Update(t.Context(), changed, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.await("the volume follows the ConfigMap", func(*corev1.Pod) bool {
		content, _ := os.ReadFile(filepath.Join(volume, "greeting"))
		return string(content) == "good evening"
	})
}

func TestADeletedPodEndsInGoodOrderBeforeItGoes(t *testing.T) {
	w := newWorld(t)
	pod := newPod()
	pod.Finalizers = []string{"test/keep"} // the fake API server does not know graceful deletion
	w.create(settings("hello"), pod)
	w.await("running", func(p *corev1.Pod) bool { return p != nil && strings.Contains(w.log(), "config:") })
	w.await("ready", func(p *corev1.Pod) bool { return p != nil && ready(p) })
	w.deletePod()
	if !strings.HasSuffix(w.log(), "ended\n") {
		t.Errorf("it was not asked to end: %q", w.log())
	}
}

func TestAPodThatMissesItsConfigMapWaitsAndSaysSo(t *testing.T) {
	w := newWorld(t)
	w.create(newPod())
	w.await("waiting with a reason", func(p *corev1.Pod) bool {
		if p == nil || len(p.Status.ContainerStatuses) == 0 {
			return false
		}
		waiting := p.Status.ContainerStatuses[0].State.Waiting
		return waiting != nil && waiting.Reason == "CreateContainerConfigError" && strings.Contains(waiting.Message, `"settings" not found`)
	})
	w.create(settings("late"))
	w.await("ready", func(p *corev1.Pod) bool { return p != nil && ready(p) })
}

func TestACrashedContainerIsRestartedAndCounted(t *testing.T) {
	w := newWorld(t)
	pod := newPod()
	w.create(settings("hello"), pod)
	w.await("ready", func(p *corev1.Pod) bool { return p != nil && ready(p) })
	pids, err := process.Leftovers(w.dir)
	if err != nil || len(pids) == 0 {
		t.Fatalf("no process: %v", err)
	}
	victim, err := os.FindProcess(pids[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Kill(); err != nil {
		t.Fatal(err)
	}
	restarted := w.await("restarted and ready", func(p *corev1.Pod) bool {
		return p != nil && ready(p) && p.Status.ContainerStatuses[0].RestartCount == 1
	})
	last := restarted.Status.ContainerStatuses[0].LastTerminationState.Terminated
	if last == nil || last.ExitCode != 137 {
		t.Errorf("last state %+v, want exit code 137", last)
	}
}

func TestPodsTheLabCannotRunStayPendingAndSayWhy(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*corev1.Pod)
		want   string
	}{
		"a container without a program": {func(p *corev1.Pod) { p.Spec.Containers[0].Name = "istio-proxy" }, `no program for container "istio-proxy"`},
		"init containers":               {func(p *corev1.Pod) { p.Spec.InitContainers = p.Spec.Containers }, "init containers"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			pod := newPod()
			test.change(pod)
			w.create(settings("hello"), pod)
			found := w.await("a reason", func(p *corev1.Pod) bool { return p != nil && p.Status.Reason == NotInLab })
			if !strings.HasPrefix(found.Status.PodIP, "10.100.0.") {
				t.Errorf("its address is %q", found.Status.PodIP)
			}
			if found.Status.Phase != corev1.PodPending || !strings.Contains(found.Status.Message, test.want) || ready(found) {
				t.Errorf("phase %s, message %q", found.Status.Phase, found.Status.Message)
			}
		})
	}
}

func TestAPodTheLabCannotRunIsSaidToBeReadyOnDemand(t *testing.T) {
	w := newWorld(t)
	pod := newPod()
	pod.Spec.Containers[0].Name = "application"
	pod.Annotations = map[string]string{ReadyAnnotation: "true"}
	w.create(settings("hello"), pod)
	found := w.await("ready", func(p *corev1.Pod) bool { return p != nil && ready(p) })
	if found.Status.Phase != corev1.PodRunning || found.Status.PodIP == "" || found.Status.Reason != NotInLab {
		t.Errorf("status %+v", found.Status)
	}
}

func TestAPodTheLabCannotRunIsDeletedAtOnceAndItsAddressGivenBack(t *testing.T) {
	w := newWorld(t)
	pod := newPod()
	pod.Spec.Containers[0].Name = "istio-proxy"
	pod.Finalizers = []string{"test/keep"} // the fake API server does not know graceful deletion
	w.create(pod)
	w.await("a reason", func(p *corev1.Pod) bool { return p != nil && p.Status.Reason == NotInLab })
	w.deletePod()
	w.await("its folder is gone", func(*corev1.Pod) bool {
		_, err := os.Stat(filepath.Join(w.dir, "pods", "d8-istio_server-1_uid-1"))
		return os.IsNotExist(err)
	})
}

func TestAnUnscheduledPodIsBoundUnlessItsNodeSelectorExcludesTheNode(t *testing.T) {
	w := newWorld(t)
	pod := newPod()
	pod.Spec.NodeName = ""
	w.create(settings("hello"), pod)
	w.await("bound", func(*corev1.Pod) bool {
		for _, action := range w.client.Actions() {
			if action.Matches("create", "pods") && action.GetSubresource() == "binding" {
				return true
			}
		}
		return false
	})

	w = newWorld(t)
	pod = newPod()
	pod.Spec.NodeName, pod.Spec.NodeSelector = "", map[string]string{"disk": "ssd"}
	w.create(settings("hello"), pod)
	w.await("unschedulable", func(p *corev1.Pod) bool {
		return p != nil && len(p.Status.Conditions) == 1 && strings.Contains(p.Status.Conditions[0].Message, "disk=ssd")
	})
}

func TestAReadinessProbeDecidesWhenAPodIsReady(t *testing.T) {
	w := newWorld(t)
	listener := newServer(t)
	pod := newPod()
	pod.Spec.Containers[0].ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{
		HTTPGet: &corev1.HTTPGetAction{Path: "/readyz", Port: intstr.FromInt(listener.port)},
	}, PeriodSeconds: 1, FailureThreshold: 1}
	w.create(settings("hello"), pod)
	w.await("not ready, with the answer of the probe", func(p *corev1.Pod) bool {
		return p != nil && p.Status.Phase == corev1.PodRunning && len(p.Status.Conditions) > 0 && !ready(p) &&
			strings.Contains(p.Status.Conditions[len(p.Status.Conditions)-1].Message, "503")
	})
	listener.ready.Store(true)
	w.await("ready", func(p *corev1.Pod) bool { return p != nil && ready(p) })
	listener.ready.Store(false)
	w.await("no longer ready", func(p *corev1.Pod) bool { return p != nil && !ready(p) })
}

func TestAFailingLivenessProbeRestartsTheContainer(t *testing.T) {
	w := newWorld(t)
	listener := newServer(t)
	pod := newPod()
	pod.Spec.Containers[0].LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{
		HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt(listener.port)},
	}, PeriodSeconds: 1, FailureThreshold: 1}
	w.create(settings("hello"), pod)
	restarted := w.await("restarted", func(p *corev1.Pod) bool {
		return p != nil && len(p.Status.ContainerStatuses) == 1 && p.Status.ContainerStatuses[0].RestartCount > 0
	})
	if last := restarted.Status.ContainerStatuses[0].LastTerminationState.Terminated; last == nil || !strings.Contains(last.Message, "liveness") {
		t.Errorf("last state %+v does not say why", last)
	}
}

func TestTokensAreRenewedBeforeTheyExpireAndForgottenWithThePod(t *testing.T) {
	client := fake.NewClientset()
	issued := 0
	client.PrependReactor("create", "serviceaccounts", tokenReactor(&issued))
	now := time.Now()
	tokens := newTokens(client)
	tokens.now = func() time.Time { return now }
	pod := newPod()
	pod.Spec.ServiceAccountName = "server"
	ask := func() string {
		t.Helper()
		token, err := tokens.token(t.Context(), pod, corev1.ServiceAccountTokenProjection{ExpirationSeconds: new(int64(1000))})
		if err != nil {
			t.Fatal(err)
		}
		return string(token)
	}
	steps := []struct {
		what string
		do   func()
		want string
	}{
		{"at first", func() {}, "token-1"},
		{"soon after", func() { now = now.Add(799 * time.Second) }, "token-1"},
		{"after four fifths of its life", func() { now = now.Add(time.Second) }, "token-2"},
		{"when the Pod is forgotten", func() { tokens.forget(types.UID("uid-1")) }, "token-3"},
	}
	for _, step := range steps {
		step.do()
		if got := ask(); got != step.want {
			t.Errorf("%s: %s, want %s", step.what, got, step.want)
		}
	}
}
