//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// vanishing is how long what a dead lab had may still be there.
const vanishing = 5 * time.Second

// footprint is what a lab has of the machine while it runs.
type footprint struct {
	stateDir string
	// processes are the lab and its descendants: their pids with the time they were started at.
	processes map[int]string
	// networks are network namespaces, groups folders of control groups.
	networks map[string]bool
	groups   []string
}

// observeLab that runs, from outside.
func observeLab(stateDir string) (*footprint, error) {
	described, err := readLab(stateDir)
	if err != nil {
		return nil, err
	}
	all := processes()
	if described.PID == 0 || all[described.PID].started == "" {
		return nil, fmt.Errorf("the lab in %s does not run: lab.json names pid %d", stateDir, described.PID)
	}
	found := &footprint{stateDir: stateDir, processes: map[int]string{}, networks: map[string]bool{}}
	own := networkOfProcess("self")
	for pid, process := range all {
		if !descends(all, pid, described.PID) {
			continue
		}
		found.processes[pid] = process.started
		if network := networkOfProcess(strconv.Itoa(pid)); network != "" && network != own {
			found.networks[network] = true
		}
	}
	for _, cluster := range described.Clusters {
		for _, node := range cluster.Nodes {
			found.groups = append(found.groups, controlGroups(node.PID)...)
		}
	}
	return found, nil
}

// left is what is still there of the lab when it has had time to vanish, "" when nothing.
func (f *footprint) left() string {
	deadline := time.Now().Add(vanishing)
	for {
		left := f.present()
		if left == "" || time.Now().After(deadline) {
			return left
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (f *footprint) present() string {
	all := processes()
	for pid, started := range f.processes {
		if all[pid].started == started {
			return fmt.Sprintf("process %d (%s)", pid, all[pid].name)
		}
	}
	for pid := range all {
		if network := networkOfProcess(strconv.Itoa(pid)); f.networks[network] {
			return fmt.Sprintf("network namespace %s, which process %d (%s) is in", network, pid, all[pid].name)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err.Error()
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, f.stateDir) {
			return "mount " + line
		}
		for network := range f.networks {
			if strings.Contains(line, network) {
				return "mount " + line
			}
		}
	}
	for _, group := range f.groups {
		if _, err := os.Stat(group); err == nil {
			return "control group " + group
		}
	}
	return ""
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

// descends tells whether a process is the ancestor, its child, its child's child and so on.
func descends(all map[int]process, pid, ancestor int) bool {
	for pid > 1 {
		if pid == ancestor {
			return true
		}
		pid = all[pid].parent
	}
	return false
}

// networkOfProcess is its network namespace, "" when it has ended.
func networkOfProcess(pid string) string {
	link, _ := os.Readlink(filepath.Join("/proc", pid, "ns", "net"))
	return link
}

// controlGroups are the folders of the process' control groups, but for those that this process is in, too.
func controlGroups(pid int) (folders []string) {
	shared := map[string]bool{}
	for _, own := range groupsOf("self") {
		shared[own] = true
	}
	for _, folder := range groupsOf(strconv.Itoa(pid)) {
		if !shared[folder] {
			folders = append(folders, folder)
		}
	}
	return folders
}

func groupsOf(pid string) (folders []string) {
	content, _ := os.ReadFile(filepath.Join("/proc", pid, "cgroup"))
	for line := range strings.Lines(string(content)) {
		// hierarchy:controllers:path
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) == 3 {
			folders = append(folders, filepath.Join("/sys/fs/cgroup", strings.TrimPrefix(parts[1], "name="), parts[2]))
		}
	}
	return folders
}
