//go:build e2e

package lab

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// gone is the longest that anything of a lab may live on.
const gone = 5 * time.Second

func TestAKilledLabLeavesNothingAndAnotherLabContinues(t *testing.T) {
	interfaces, mounts := hostInterfaces(t), hostMounts(t)
	other := up(t, "--nodes", "1", "--clusters", "1")
	lab := up(t, "--nodes", "2", "--clusters", "1")
	for _, each := range []*runningLab{other, lab} {
		each.must(each.kubectl("get", "nodes"))
	}
	// A command that a person has left in the fabric must not hold it.
	command := exec.Command(filepath.Join(root(t), "bin", "lab"), "exec", "--state-dir", lab.dir, "--", "sleep", "600")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = command.Wait() }()

	described := lab.describe()
	owned := namespacesOf(t, described)
	lab.eventually(20*time.Second, "the command is in the fabric", func() (bool, string) { return len(within(t, owned)) > 0 && hasCommand(t, owned), "" })
	groups := groupsOf(t, described)
	if len(groups) == 0 || len(within(t, owned)) < 10 {
		t.Fatalf("nothing to look for: control groups %v, %d processes", groups, len(within(t, owned)))
	}
	if err := syscall.Kill(described.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	lab.eventually(gone, "nothing of the lab is left", func() (bool, string) {
		left := within(t, owned)
		folders := slices.DeleteFunc(slices.Clone(groups), func(folder string) bool { _, err := os.Stat(folder); return os.IsNotExist(err) })
		return len(left) == 0 && len(folders) == 0, fmt.Sprintf("processes %v, control groups %v", left, folders)
	})
	t.Logf("gone after %s", time.Since(begun).Round(10*time.Millisecond))
	if now := hostInterfaces(t); !slices.Equal(now, interfaces) {
		t.Errorf("interfaces %v, before %v", now, interfaces)
	}
	if now := hostMounts(t); now != mounts {
		t.Errorf("mounts:\n%s\nbefore:\n%s", now, mounts)
	}
	other.must(other.kubectl("get", "nodes"))
	other.must(other.kubectl("-n", "kube-system", "exec", coreDNS, "--", "/coredns", "-version"))
}

// namespacesOf a lab: those of its nodes and of its fabric, as links of /proc name them.
func namespacesOf(t *testing.T, lab description) map[string]bool {
	t.Helper()
	owned := map[string]bool{}
	add := func(path string) {
		name, err := os.Readlink(path)
		if err != nil {
			t.Fatal(err)
		}
		owned[name] = true
	}
	for _, cluster := range lab.Clusters {
		for _, node := range cluster.Nodes {
			for _, kind := range []string{"pid", "mnt", "net", "uts", "ipc", "cgroup"} {
				add(fmt.Sprintf("/proc/%d/ns/%s", node.PID, kind))
			}
		}
	}
	add(lab.Fabric.Network)
	return owned
}

// within lists the processes that are in one of the namespaces. Pods have some
// of their own, but share the others with their node; all are in its PID
// namespace or below it, so their ancestors are looked at, too.
func within(t *testing.T, owned map[string]bool) []int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	parents, inside := map[int]int{}, map[int]bool{}
	for _, file := range files {
		pid, _ := strconv.Atoi(filepath.Base(file))
		content, err := os.ReadFile(file + "/stat")
		if err != nil {
			continue
		}
		fields := strings.Fields(string(content[strings.LastIndexByte(string(content), ')')+1:]))
		parents[pid], _ = strconv.Atoi(fields[1])
		for _, kind := range []string{"pid", "mnt", "net", "uts", "ipc", "cgroup"} {
			if name, err := os.Readlink(file + "/ns/" + kind); err == nil && owned[name] && fields[0] != "Z" {
				inside[pid] = true
			}
		}
	}
	var pids []int
	for pid := range parents {
		for ancestor := pid; ancestor > 1; ancestor = parents[ancestor] {
			if inside[ancestor] {
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids
}

// hasCommand reports whether the command of lab exec runs.
func hasCommand(t *testing.T, owned map[string]bool) bool {
	t.Helper()
	return slices.ContainsFunc(within(t, owned), func(pid int) bool {
		content, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		return string(content) == "sleep\x00600\x00"
	})
}

// groupsOf a lab: all folders of control groups that its nodes' processes are in.
func groupsOf(t *testing.T, lab description) []string {
	t.Helper()
	var folders []string
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", lab.Clusters[0].Nodes[0].PID))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		for _, mount := range []string{fields[1], strings.TrimPrefix(fields[1], "name="), "unified", ""} {
			folder := filepath.Join("/sys/fs/cgroup", mount, fields[2])
			if _, err := os.Stat(folder); err == nil && strings.Contains(folder, "istio-lab-") && !slices.Contains(folders, folder) {
				folders = append(folders, folder)
			}
		}
	}
	return folders
}

func hostInterfaces(t *testing.T) []string {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, each := range all {
		names = append(names, each.Name)
	}
	return names
}

func hostMounts(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
