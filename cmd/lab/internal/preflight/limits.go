package preflight

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/cgroup"
)

// limits of the kernel, below /proc/sys, that kubelet and the programs in Pods
// reach: the smallest value that will do for one node, and what is set instead
// of less than all nodes need.
var limits = map[string]struct{ node, set int }{
	// Every program that watches files has at least one; Go's libraries have one for each watch.
	"fs/inotify/max_user_instances": {node: 64, set: 8192},
	"fs/inotify/max_user_watches":   {node: 16384, set: 1048576},
}

// checkLimits raises limits that are too low for a lab of that size. They stay
// raised: another lab may count on them.
func checkLimits(needs Needs) (findings []Finding, raised []string) {
	nodes := needs.Clusters * needs.Nodes
	for _, name := range sortedKeys(limits) {
		file, limit := filepath.Join("/proc/sys", name), limits[name]
		value, err := readNumber(file)
		// Others use them, too: twice what nodes need is enough.
		if err != nil || value >= 2*nodes*limit.node {
			continue
		}
		setting := strings.ReplaceAll(name, "/", ".")
		if err := os.WriteFile(file, []byte(strconv.Itoa(limit.set)), 0o644); err != nil {
			findings = append(findings, Finding{
				Problem: fmt.Sprintf("%s is %d, too low for %d nodes, and cannot be raised here: %v", setting, value, nodes, err),
				Cure:    fmt.Sprintf("on the machine itself: sudo sysctl -w %s=%d", setting, limit.set),
			})
			continue
		}
		raised = append(raised, fmt.Sprintf("%s raised from %d to %d", setting, value, limit.set))
	}
	return append(findings, checkFiles()...), raised
}

// wantedFiles that one process can have open: each node of a cluster inherits it.
const wantedFiles = 8192

func checkFiles() []Finding {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Max >= wantedFiles {
		return nil
	}
	return []Finding{{
		Problem: fmt.Sprintf("a process can have %d files open, and the programs of a node need %d", limit.Max, wantedFiles),
		Cure:    fmt.Sprintf("ulimit -Hn %d", wantedFiles),
	}}
}

func readNumber(file string) (int, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(content)))
}

// controllers that kubelet insists on.
var controllers = []string{"cpu", "cpuset", "memory", "pids"}

func checkGroups(needs Needs) []Finding {
	const cure = "run it where control groups can be written: on the machine itself, in a VM, or in a privileged container"
	layout, err := cgroup.Find()
	if err != nil {
		return []Finding{{Problem: err.Error(), Cure: cure}}
	}
	var findings []Finding
	has := layout.Controllers()
	for _, controller := range controllers {
		if !slices.Contains(has, controller) {
			findings = append(findings, Finding{
				Problem: fmt.Sprintf("no controller %s of control groups", controller),
				Cure:    "switch it on where the kernel is started, as in cgroup_enable=" + controller,
			})
		}
	}
	if err := cgroup.NewTree(layout, needs.StateDir).Try(); err != nil {
		findings = append(findings, Finding{Problem: "control groups cannot be made: " + err.Error(), Cure: cure})
	}
	return findings
}

func sortedKeys[Value any](of map[string]Value) []string { return slices.Sorted(maps.Keys(of)) }
