package cgroup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/deckhouse-mesh/istio/lib/await"
)

// Tree is the groups of one lab: a folder in every hierarchy, with a folder for each node.
type Tree struct {
	layout *Layout
	name   string
}

// NewTree is the tree of the lab in that state dir; nothing is made yet.
func NewTree(layout *Layout, stateDir string) *Tree {
	sum := sha256.Sum256([]byte(stateDir))
	return &Tree{layout: layout, name: "istio-lab-" + hex.EncodeToString(sum[:4])}
}

// Layout of the machine.
func (t *Tree) Layout() *Layout { return t.layout }

// Folders of a node's groups, in the order of the layout's hierarchies.
func (t *Tree) Folders(node string) []string {
	var folders []string
	for _, hierarchy := range t.layout.Hierarchies {
		folders = append(folders, filepath.Join(hierarchy.Parent, t.name, node))
	}
	return folders
}

// Create the groups of a node and returns their folders.
func (t *Tree) Create(node string) ([]string, error) {
	folders := t.Folders(node)
	for i, hierarchy := range t.layout.Hierarchies {
		for _, folder := range []string{filepath.Dir(folders[i]), folders[i]} {
			if err := create(hierarchy, folder); err != nil {
				return nil, fmt.Errorf("make the control group of node %s: %w", node, err)
			}
		}
	}
	return folders, nil
}

func create(hierarchy Hierarchy, folder string) error {
	if hierarchy.Unified {
		if err := Delegate(filepath.Dir(folder)); err != nil {
			return err
		}
	}
	if err := os.Mkdir(folder, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// A new group of version 1 has no processors and no memory until somebody says so.
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		if hierarchy.Unified || !strings.Contains(hierarchy.Options, "cpuset") {
			break
		}
		content, err := os.ReadFile(filepath.Join(filepath.Dir(folder), file))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, file), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Delegate lets groups within the folder, of version 2, have all controllers
// that it has. What stops that is processes in the folder itself, which is
// common at the top of a container's groups: they are moved to a group beside.
func Delegate(folder string) error {
	content, err := os.ReadFile(filepath.Join(folder, "cgroup.controllers"))
	if err != nil {
		return err
	}
	control := filepath.Join(folder, "cgroup.subtree_control")
	for _, controller := range strings.Fields(string(content)) {
		err := os.WriteFile(control, []byte("+"+controller), 0o644)
		if errors.Is(err, syscall.EBUSY) {
			if err := evacuate(folder); err != nil {
				return err
			}
			err = os.WriteFile(control, []byte("+"+controller), 0o644)
		}
		if err != nil {
			return fmt.Errorf("enable controller %s: %w", controller, err)
		}
	}
	return nil
}

func evacuate(folder string) error {
	beside := filepath.Join(folder, "istio-lab-evacuated")
	if err := os.Mkdir(beside, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	for _, pid := range processes(folder) {
		err := Move(beside, pid)
		if err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

// Try whether groups can be made where the lab makes them, without leaving any.
func (t *Tree) Try() error {
	for _, hierarchy := range t.layout.Hierarchies {
		folder := filepath.Join(hierarchy.Parent, t.name+"-try")
		if err := os.Mkdir(folder, 0o755); err != nil {
			return err
		}
		if err := os.Remove(folder); err != nil {
			return err
		}
	}
	return nil
}

// Move moves a process, all threads of it, into the group.
func Move(folder string, pid int) error {
	if err := os.WriteFile(filepath.Join(folder, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644); err != nil {
		return fmt.Errorf("move process %d into a control group: %w", pid, err)
	}
	return nil
}

// Remove the groups of a node, and what runs in them.
func (t *Tree) Remove(node string) error { return RemoveFolders(t.Folders(node)) }

// RemoveAll removes the groups of the whole lab, and what runs in them.
func (t *Tree) RemoveAll() error { return RemoveFolders(t.Folders("")) }

// removalTimeout bounds the wait for processes that were killed.
const removalTimeout = 20 * time.Second

// RemoveFolders removes groups, those within them, and what runs in them.
func RemoveFolders(folders []string) error {
	err := await.Until(context.Background(), removalTimeout, func(context.Context) (bool, string, error) {
		var last error
		for _, folder := range folders {
			last = errors.Join(last, remove(folder))
		}
		if last != nil {
			return await.NotYet(last)
		}
		return true, "", nil
	})
	if err != nil {
		return fmt.Errorf("remove control groups: %w", err)
	}
	return nil
}

// remove a group, those within it first. What still runs in it is killed.
func remove(folder string) error {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			err = errors.Join(err, remove(filepath.Join(folder, entry.Name())))
		}
	}
	for _, pid := range processes(folder) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	if removal := os.Remove(folder); removal != nil && !errors.Is(removal, fs.ErrNotExist) {
		err = errors.Join(err, removal)
	}
	return err
}

// processes in the group itself.
func processes(folder string) []int {
	content, err := os.ReadFile(filepath.Join(folder, "cgroup.procs"))
	if err != nil {
		return nil
	}
	var pids []int
	for _, field := range bytes.Fields(content) {
		if pid, err := strconv.Atoi(string(field)); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}
