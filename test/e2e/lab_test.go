//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// labStarts is the longest that a lab may take to be up on a loaded machine.
	labStarts = 5 * time.Minute
	// nodeLost is how long Kubernetes takes to notice that a node is gone and to replace Pods that tolerate it for a few seconds.
	nodeLost = 3 * time.Minute
)

// TestLab has labs of its own: it starts them and ends them in every way.
func TestLab(t *testing.T) {
	t.Run("ThatCannotBeReportsItAtOnce", labThatCannotBeReportsItAtOnce)
	t.Run("LeavesNothing", labLeavesNothing)
	t.Run("OfTwoNodesBesideAnother", labOfTwoNodesBesideAnother)
}

// foreground is `lab up` without --detach.
type foreground struct {
	dir     string
	command *exec.Cmd
	output  bytes.Buffer
	// ended is closed when the lab has.
	ended chan struct{}
}

// startLab and wait until it is up. It is killed when the test ends, if not before.
func startLab(t *testing.T, flags ...string) *foreground {
	t.Helper()
	started := &foreground{dir: t.TempDir(), ended: make(chan struct{})}
	started.command = exec.Command(labProgram(), append([]string{"up", "--state-dir", started.dir}, flags...)...)
	started.command.Stdout, started.command.Stderr = &started.output, &started.output
	if err := started.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = started.command.Wait()
		close(started.ended)
	}()
	t.Cleanup(func() {
		_ = started.command.Process.Kill()
		<-started.ended
		_ = lab("down", "--state-dir", started.dir) // waits until nothing is left, so that the folder can be removed
	})
	eventually(t, labStarts, "the lab is up", func() string {
		select {
		case <-started.ended:
			t.Fatalf("the lab has ended:\n%s", started.output.String())
		default:
		}
		described, err := readLab(started.dir)
		if err == nil && !described.Ready {
			return "it is not ready yet"
		}
		return because(err)
	})
	return started
}

// end the lab by a signal, and see that nothing is left of it.
func (f *foreground) end(t *testing.T, signal syscall.Signal, exit int) {
	t.Helper()
	print, err := observeLab(f.dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.command.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	select {
	case <-f.ended:
	case <-time.After(restarted):
		t.Fatal("the lab does not end")
	}
	if got := f.command.ProcessState.ExitCode(); got != exit {
		t.Errorf("exit code %d, want %d; it reported:\n%s", got, exit, f.output.String())
	}
	if left := print.left(); left != "" {
		t.Errorf("%s after the lab is left: %s", vanishing, left)
	}
}

func labLeavesNothing(t *testing.T) {
	for name, test := range map[string]struct {
		signal syscall.Signal
		exit   int
	}{
		"when it is interrupted":  {syscall.SIGINT, 0},
		"when it is asked to end": {syscall.SIGTERM, 0},
		"when it is killed":       {syscall.SIGKILL, -1},
	} {
		t.Run(name, func(t *testing.T) {
			before := interfaces(t)
			one := startLab(t, "--clusters", "1", "--nodes", "1", "--bare")
			one.end(t, test.signal, test.exit)
			if after := interfaces(t); !slices.Equal(before, after) {
				t.Errorf("the machine's interfaces were %v and are %v", before, after)
			}
			for range 2 { // stopping what does not run is no error
				if err := lab("down", "--state-dir", one.dir); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// interfaces of the machine.
func interfaces(t *testing.T) (names []string) {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		names = append(names, one.Name)
	}
	slices.Sort(names)
	return names
}

// labOfTwoNodesBesideAnother looks at one lab whose addresses another has, too, and ends it by SIGKILL while the other goes on.
func labOfTwoNodesBesideAnother(t *testing.T) {
	one, other := startLab(t, "--clusters", "1", "--nodes", "2"), startLab(t, "--clusters", "1", "--nodes", "1", "--bare")
	first, err := newCluster(one.dir, "cluster-a")
	if err != nil {
		t.Fatal(err)
	}
	second, err := newCluster(other.dir, "cluster-a")
	if err != nil {
		t.Fatal(err)
	}
	if first.uid(t) == second.uid(t) {
		t.Fatal("the kubeconfigs of both labs lead to the same cluster")
	}
	t.Run("a second one in the same state dir is rejected", func(t *testing.T) {
		out, err := exec.Command(labProgram(), "up", "--clusters", "1", "--state-dir", one.dir).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "lab down") {
			t.Errorf("it ends with %v, without the advice to use `lab down`: %s", err, out)
		}
	})
	server := first.reachesTheOtherNode(t)
	t.Run("Pods of a node that is lost come back on the other one", func(t *testing.T) { first.losesANode(t, server) })
	t.Run("a killed one leaves nothing, and the other goes on", func(t *testing.T) {
		one.end(t, syscall.SIGKILL, -1)
		if second.uid(t) == "" {
			t.Error("the other lab's cluster does not answer")
		}
	})
}

// uid of the cluster, by that of a namespace that each has.
func (c *cluster) uid(t *testing.T) string {
	t.Helper()
	namespace, err := c.typed.CoreV1().Namespaces().Get(context.Background(), metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return string(namespace.UID)
}

// movingApp is a Pod of a Deployment that does not wait for a lost node.
var movingApp = component{"default", "moving", "app=moving", applicationContainer}

// reachesTheOtherNode runs a server on the second node and a client on the first, whose requests it answers.
func (c *cluster) reachesTheOtherNode(t *testing.T) (server *corev1.Pod) {
	t.Helper()
	nodes := c.described(t).Nodes
	if len(nodes) != 2 {
		t.Fatalf("lab.json has the nodes %v, want two", nodes)
	}
	c.deploy(t, movingApp, nodes[1].Name)
	eventually(t, restarted, "a Pod of the Deployment is ready", func() string {
		var err error
		server, err = c.readyPod(movingApp)
		return because(err)
	})
	if server.Spec.NodeName != nodes[1].Name {
		t.Fatalf("the server runs on %s, want %s", server.Spec.NodeName, nodes[1].Name)
	}
	client := newPod("default", "client", nil, nil)
	client.Spec.NodeName = nodes[0].Name
	client = c.runReady(t, client)
	c.serve(t, "default", movingApp.name)
	c.awaitAnswer(t, "a Pod of the other node answers", client, fmt.Sprintf("http://%s.default/", movingApp.name), by(server.Name))
	return server
}

// losesANode stops the node that the server runs on, and starts it again once the server's Deployment has another Pod.
func (c *cluster) losesANode(t *testing.T, server *corev1.Pod) {
	t.Helper()
	lost := server.Spec.NodeName
	if err := lab("node", "stop", "--state-dir", c.stateDir, lost); err != nil {
		t.Fatal(err)
	}
	eventually(t, nodeLost, "another Pod is ready on another node", func() string {
		now, err := c.readyPod(movingApp)
		if err != nil {
			return err.Error()
		}
		if now.UID == server.UID || now.Spec.NodeName == lost {
			return fmt.Sprintf("the youngest one is %s on %s", now.Name, now.Spec.NodeName)
		}
		return ""
	})
	if err := lab("node", "start", "--state-dir", c.stateDir, lost); err != nil {
		t.Fatal(err)
	}
	eventually(t, restarted, "the node is ready when it is back", func() string {
		node, err := c.typed.CoreV1().Nodes().Get(context.Background(), lost, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		for _, condition := range node.Status.Conditions {
			if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
				return ""
			}
		}
		return "it is not"
	})
}

func labThatCannotBeReportsItAtOnce(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"a mode that does not exist":    {[]string{"--mode", "mesh"}, "mixed"},
		"a network that does not exist": {[]string{"--network", "global"}, "flat"},
		"too few clusters to be mixed":  {[]string{"--mode", "mixed"}, "3"},
		"no clusters":                   {[]string{"--clusters", "0"}, "clusters"},
		"no nodes":                      {[]string{"--nodes", "0"}, "nodes"},
		"settings that do not exist":    {[]string{"--settings", "/does/not/exist"}, "/does/not/exist"},
		"an unknown flag":               {[]string{"--colour"}, "--colour"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := exec.Command(labProgram(), append([]string{"up", "--state-dir", t.TempDir()}, test.args...)...).CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 2 {
				t.Errorf("ended with %v, want exit code 2", err)
			}
			if !strings.Contains(string(out), test.want) {
				t.Errorf("it reports %q, want %q in it", out, test.want)
			}
		})
	}
	t.Run("without root", func(t *testing.T) {
		program, err := filepath.Abs(labProgram())
		if err != nil {
			t.Fatal(err)
		}
		command := exec.Command(program, "up", "--state-dir", filepath.Join(os.TempDir(), "never-made"))
		command.Dir = "/"
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		begun := time.Now()
		out, err := command.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "sudo") {
			t.Errorf("it ends with %v, without the advice to use sudo: %s", err, out)
		}
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("it takes %s to report that", took)
		}
	})
}
