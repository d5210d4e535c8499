// Package cgroup makes the control groups of a lab's nodes, one for each node
// in every hierarchy of the machine, and removes them. It knows version 1,
// version 2, and machines that have both.
package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Root is where Linux has its control groups.
const Root = "/sys/fs/cgroup"

// Hierarchy of control groups, as this process sees it.
type Hierarchy struct {
	// Options of its mount: the controllers of a version 1 hierarchy as in "cpu,cpuacct", or "name=systemd".
	Options string `json:"options,omitempty"`
	// Unified says that it is version 2.
	Unified bool `json:"unified,omitempty"`
	// Mount is where it is mounted.
	Mount string `json:"mount"`
	// Parent is the folder in which the lab may make groups.
	Parent string `json:"parent"`
}

// Layout is all of a machine's hierarchies.
type Layout struct {
	Hierarchies []Hierarchy `json:"hierarchies"`
	// Links are symbolic links among the mounts: cpu → cpu,cpuacct.
	Links map[string]string `json:"links,omitempty"`
}

// Find the hierarchies of this machine.
func Find() (*Layout, error) {
	groups, err := os.Open("/proc/self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("find the control groups: %w", err)
	}
	defer func() { _ = groups.Close() }()
	mounts, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("find the control groups: %w", err)
	}
	defer func() { _ = mounts.Close() }()
	layout, err := parse(groups, mounts)
	if err != nil {
		return nil, err
	}
	layout.Links, err = findLinks(Root)
	return layout, err
}

// UnifiedOnly is true where the machine has version 2 alone.
func (l *Layout) UnifiedOnly() bool {
	return len(l.Hierarchies) == 1 && l.Hierarchies[0].Unified && l.Hierarchies[0].Mount == Root
}

// parse /proc/PID/cgroup and /proc/PID/mountinfo.
func parse(groups, mounts io.Reader) (*Layout, error) {
	paths := map[string]string{} // of this process, by controllers
	lines := bufio.NewScanner(groups)
	for lines.Scan() {
		if fields := strings.SplitN(lines.Text(), ":", 3); len(fields) == 3 {
			paths[fields[1]] = fields[2]
		}
	}
	layout := &Layout{}
	lines = bufio.NewScanner(mounts)
	for lines.Scan() {
		hierarchy, root, ok := parseMount(lines.Text(), paths)
		if !ok || slices.ContainsFunc(layout.Hierarchies, func(h Hierarchy) bool { return h.Options == hierarchy.Options }) {
			continue
		}
		hierarchy.Parent = hierarchy.Mount
		// A process of version 1 makes groups within its own, so that what bounds it bounds them.
		// In version 2 a group has processes or groups: the lab's are made at the top.
		if own, found := strings.CutPrefix(paths[hierarchy.Options], strings.TrimSuffix(root, "/")); found && !hierarchy.Unified {
			hierarchy.Parent = filepath.Join(hierarchy.Mount, own)
		}
		layout.Hierarchies = append(layout.Hierarchies, hierarchy)
	}
	if len(layout.Hierarchies) == 0 {
		return nil, errors.New("find the control groups: none is mounted below " + Root)
	}
	return layout, nil
}

// parseMount reads a line of mountinfo: fields 4 and 5 are the mount's root and
// place; after a lone hyphen follow the type, the source and the super block's options.
func parseMount(line string, paths map[string]string) (hierarchy Hierarchy, root string, ok bool) {
	before, after, found := strings.Cut(line, " - ")
	fields, super := strings.Fields(before), strings.Fields(after)
	if !found || len(fields) < 5 || len(super) < 3 || !strings.HasPrefix(fields[4], Root) {
		return Hierarchy{}, "", false
	}
	switch super[0] {
	case "cgroup2":
		return Hierarchy{Unified: true, Mount: fields[4]}, fields[3], true
	case "cgroup":
		options := strings.Split(super[2], ",")
		for controllers := range paths {
			all := strings.Split(controllers, ",")
			if controllers != "" && !slices.ContainsFunc(all, func(c string) bool { return !slices.Contains(options, c) }) {
				return Hierarchy{Options: controllers, Mount: fields[4]}, fields[3], true
			}
		}
	}
	return Hierarchy{}, "", false
}

func findLinks(dir string) (map[string]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("find the control groups: %w", err)
	}
	links := map[string]string{}
	for _, entry := range entries {
		if entry.Type()&os.ModeSymlink == 0 {
			continue
		}
		target, err := os.Readlink(filepath.Join(dir, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("find the control groups: %w", err)
		}
		links[entry.Name()] = target
	}
	return links, nil
}

// Controllers that groups of a lab can have.
func (l *Layout) Controllers() []string {
	var all []string
	for _, hierarchy := range l.Hierarchies {
		if !hierarchy.Unified {
			all = append(all, strings.Split(hierarchy.Options, ",")...)
			continue
		}
		if content, err := os.ReadFile(filepath.Join(hierarchy.Parent, "cgroup.controllers")); err == nil {
			all = append(all, strings.Fields(string(content))...)
		}
	}
	return all
}
