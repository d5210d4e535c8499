package cgroup

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestHierarchiesOfAMachine(t *testing.T) {
	for name, test := range map[string]struct {
		groups, mounts string
		want           []Hierarchy
		unifiedOnly    bool
	}{
		"of version 2 alone": {
			groups: "0::/user.slice/session-1.scope\n",
			mounts: "24 23 0:22 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
			want:   []Hierarchy{{Unified: true, Mount: "/sys/fs/cgroup", Parent: "/sys/fs/cgroup"}}, unifiedOnly: true,
		},
		"of version 1, with version 2 beside": {
			groups: "9:name=systemd:/\n4:memory:/session\n3:cpu,cpuacct:/\n0::/\n",
			mounts: `30 23 0:30 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:31 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
32 30 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
33 30 0:33 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
34 30 0:34 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
35 23 0:32 / /elsewhere rw - cgroup cgroup rw,memory
`,
			want: []Hierarchy{
				{Options: "cpu,cpuacct", Mount: "/sys/fs/cgroup/cpu,cpuacct", Parent: "/sys/fs/cgroup/cpu,cpuacct"},
				{Options: "memory", Mount: "/sys/fs/cgroup/memory", Parent: "/sys/fs/cgroup/memory/session"},
				{Options: "name=systemd", Mount: "/sys/fs/cgroup/systemd", Parent: "/sys/fs/cgroup/systemd"},
				{Unified: true, Mount: "/sys/fs/cgroup/unified", Parent: "/sys/fs/cgroup/unified"},
			},
		},
		"in a container, whose mounts begin at its own group": {
			groups: "4:memory:/docker/1f\n",
			mounts: "32 30 0:32 /docker/1f /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
			want:   []Hierarchy{{Options: "memory", Mount: "/sys/fs/cgroup/memory", Parent: "/sys/fs/cgroup/memory"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			layout, err := parse(strings.NewReader(test.groups), strings.NewReader(test.mounts))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(layout.Hierarchies, test.want) {
				t.Errorf("hierarchies %+v\nwant %+v", layout.Hierarchies, test.want)
			}
			if layout.UnifiedOnly() != test.unifiedOnly {
				t.Errorf("version 2 alone: %v", layout.UnifiedOnly())
			}
		})
	}
}

func TestAMachineWithoutControlGroupsIsNamed(t *testing.T) {
	if _, err := parse(strings.NewReader(""), strings.NewReader("")); err == nil {
		t.Error("no error")
	}
}

func TestGroupsAreRemovedInsideOut(t *testing.T) {
	parent := t.TempDir() // folders behave like groups: they go when they are empty
	tree := NewTree(&Layout{Hierarchies: []Hierarchy{{Options: "memory", Parent: parent}, {Options: "pids", Parent: parent + "/absent"}}}, "/a")
	if err := os.MkdirAll(filepath.Join(tree.Folders("cluster-a-1")[0], "kubepods", "pod1"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := tree.RemoveAll(); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(parent); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestLabsOfDifferentStateDirsHaveDifferentGroups(t *testing.T) {
	layout := &Layout{Hierarchies: []Hierarchy{{Parent: "/sys/fs/cgroup"}}}
	if a, b := NewTree(layout, "/a").Folders("n")[0], NewTree(layout, "/b").Folders("n")[0]; a == b {
		t.Errorf("both have %s", a)
	}
}
