package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// initGroup holds a node's own programs in version 2, where a group has either
// processes or groups.
const initGroup = "init"

// Enter moves this process into the groups of a node and makes them the top of
// all that it sees and makes from now on. It is for the first process of a
// node, which has a mount namespace of its own; it must run on a thread that is
// locked, since a namespace of control groups is a thread's until the next exec.
func (l *Layout) Enter(folders []string) error {
	for _, folder := range folders {
		if err := Move(folder, os.Getpid()); err != nil {
			return err
		}
	}
	if err := syscall.Unshare(syscall.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("make a namespace of control groups: %w", err)
	}
	return l.mount()
}

// mount replaces the mounts that came with the mount namespace, which show the
// groups of the whole machine, by such as begin at this namespace's top.
func (l *Layout) mount() error {
	if err := syscall.Unmount(Root, syscall.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount the machine's control groups: %w", err)
	}
	if !l.UnifiedOnly() {
		if err := syscall.Mount("tmpfs", Root, "tmpfs", 0, "mode=755"); err != nil {
			return fmt.Errorf("mount %s: %w", Root, err)
		}
	}
	for _, hierarchy := range l.Hierarchies {
		if err := hierarchy.mount(); err != nil {
			return fmt.Errorf("mount the control groups %s: %w", hierarchy.Mount, err)
		}
	}
	for name, target := range l.Links {
		if err := os.Symlink(target, filepath.Join(Root, name)); err != nil {
			return err
		}
	}
	return nil
}

func (h Hierarchy) mount() error {
	if h.Mount != Root {
		if err := os.MkdirAll(h.Mount, 0o755); err != nil {
			return err
		}
	}
	if !h.Unified {
		return syscall.Mount("cgroup", h.Mount, "cgroup", 0, h.Options)
	}
	if err := syscall.Mount("cgroup2", h.Mount, "cgroup2", 0, ""); err != nil {
		return err
	}
	group := filepath.Join(h.Mount, initGroup)
	if err := os.Mkdir(group, 0o755); err != nil {
		return err
	}
	if err := Move(group, os.Getpid()); err != nil {
		return err
	}
	return Delegate(h.Mount)
}
