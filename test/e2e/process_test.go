//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// processesOf the component's containers in the cluster, as this machine sees
// them: the nodes are namespaces of it, and the test is root.
func (c *cluster) processesOf(t *testing.T, of component) []int {
	t.Helper()
	pods, err := c.pods(of)
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, pod := range pods {
		status := containerStatus(&pod, of.container)
		if status == nil || status.State.Running == nil {
			continue
		}
		_, id, _ := strings.Cut(status.ContainerID, "://")
		pids = append(pids, processesIn(id)...)
	}
	if len(pids) == 0 {
		t.Fatalf("no process of %s of %s is found: do the tests run in the machine's own PID namespace?", of, c.name)
	}
	return pids
}

// processesIn a container: a runtime names its control group after it. In one that has no ID yet there are none.
func processesIn(container string) (pids []int) {
	if container == "" {
		return nil // every group's name contains that
	}
	files, _ := filepath.Glob("/proc/[0-9]*/cgroup")
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(content), container) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// kill the component's processes without a word, and wait until it is ready again in other containers.
func (c *cluster) kill(t *testing.T, of component) {
	t.Helper()
	c.killWithoutWaiting(t, of)()
}

// killWithoutWaiting kills the component's processes. What it returns waits until others run.
func (c *cluster) killWithoutWaiting(t *testing.T, of component) (awaitAnother func()) {
	t.Helper()
	former := c.running(t, of)
	for _, pid := range c.processesOf(t, of) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
			t.Fatalf("kill %s of %s (pid %d): %v", of, c.name, pid, err)
		}
	}
	return func() {
		t.Helper()
		c.awaitAnother(t, of, former)
	}
}

// killPod kills the processes of one container of the Pod without a word.
func (c *cluster) killPod(t *testing.T, pod *corev1.Pod, container string) {
	t.Helper()
	_, id, _ := strings.Cut(containerStatus(pod, container).ContainerID, "://")
	for _, pid := range processesIn(id) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
			t.Fatalf("kill %s of Pod %s (pid %d): %v", container, pod.Name, pid, err)
		}
	}
}

// freeze the component's processes until thaw is called, or the test ends.
func (c *cluster) freeze(t *testing.T, of component) (thaw func()) {
	t.Helper()
	frozen := c.processesOf(t, of)
	thaw = func() {
		for _, pid := range frozen {
			_ = syscall.Kill(pid, syscall.SIGCONT) // without effect when it runs, or was replaced
		}
	}
	t.Cleanup(thaw)
	for _, pid := range frozen {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatalf("stop %s of %s (pid %d): %v", of, c.name, pid, err)
		}
	}
	return thaw
}

// killOnNode kills a program that a node runs outside of containers, such as
// etcd, and waits until the node has started it again.
func (c *cluster) killOnNode(t *testing.T, program string) {
	t.Helper()
	former := c.nodeProcesses(t, program)
	if len(former) == 0 {
		t.Fatalf("no node of %s runs %s", c.name, program)
	}
	for _, pid := range former {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatalf("kill %s of %s (pid %d): %v", program, c.name, pid, err)
		}
	}
	eventually(t, restarted, fmt.Sprintf("%s of %s is started again", program, c.name), func() string {
		now := c.nodeProcesses(t, program)
		if len(now) != len(former) || slices.ContainsFunc(now, func(pid int) bool { return slices.Contains(former, pid) }) {
			return fmt.Sprintf("its processes were %v and are %v", former, now)
		}
		return ""
	})
}

// nodeProcesses of that name, which are children of the nodes' first processes.
func (c *cluster) nodeProcesses(t *testing.T, program string) (pids []int) {
	t.Helper()
	for _, node := range c.described(t).Nodes {
		for pid, found := range processes() {
			if found.parent == node.PID && programOf(pid) == program {
				pids = append(pids, pid)
			}
		}
	}
	slices.Sort(pids)
	return pids
}

// programOf a process is the name that it was called by: the kernel's own name for it is cut off at 15 bytes.
func programOf(pid int) string {
	line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	name, _, _ := strings.Cut(string(line), "\x00")
	return filepath.Base(name)
}

// memory in bytes that the component's container holds and that nothing could take from it, by the kubelet's own statistics.
func (c *cluster) memory(t *testing.T, of component) uint64 {
	t.Helper()
	pod, err := c.readyPod(of)
	if err != nil {
		t.Fatal(err)
	}
	path := "/api/v1/nodes/" + pod.Spec.NodeName + "/proxy/stats/summary"
	content, err := c.typed.CoreV1().RESTClient().Get().AbsPath(path).DoRaw(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var summary struct {
		Pods []struct {
			PodRef     struct{ UID string }
			Containers []struct {
				Name   string
				Memory struct{ WorkingSetBytes uint64 }
			}
		}
	}
	if err := json.Unmarshal(content, &summary); err != nil {
		t.Fatal(err)
	}
	for _, reported := range summary.Pods {
		for _, container := range reported.Containers {
			if reported.PodRef.UID == string(pod.UID) && container.Name == of.container && container.Memory.WorkingSetBytes > 0 {
				return container.Memory.WorkingSetBytes
			}
		}
	}
	t.Fatalf("the kubelet of %s does not report the memory of %s", pod.Spec.NodeName, pod.Name)
	return 0
}

// process of this machine.
type process struct {
	name   string
	parent int
	// started is when the kernel started it, in its own unit: it makes a pid unique.
	started string
}

// processes that run, by their pids; those that are dead and not yet reaped do not.
func processes() map[int]process {
	found := map[int]process{}
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state parent …: a name may contain anything.
		head, rest, _ := strings.Cut(string(content), " (")
		end := strings.LastIndex(rest, ")")
		if end < 0 {
			continue
		}
		fields := strings.Fields(rest[end+1:])
		pid, err := strconv.Atoi(head)
		if err != nil || len(fields) < 20 || fields[0] == "Z" {
			continue
		}
		parent, _ := strconv.Atoi(fields[1])
		found[pid] = process{name: rest[:end], parent: parent, started: fields[19]}
	}
	return found
}
