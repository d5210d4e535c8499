package node

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// mount what differs from the person's machine. What is mounted over may hide
// the places that things come from: so these are opened first.
func (s *Spec) mount() error {
	own, err := openPath(s.Var)
	if err != nil {
		return err
	}
	defer func() { _ = own.Close() }()
	folders := map[string]*os.File{}
	for _, file := range s.Binaries {
		dir := filepath.Dir(file)
		if folders[dir] != nil {
			continue
		}
		if folders[dir], err = openPath(dir); err != nil {
			return err
		}
		defer func() { _ = folders[dir].Close() }()
	}
	for _, mount := range []struct {
		source, target, kind string
		flags                uintptr
		options              string
	}{
		// First cut off from the machine's mounts, then a root of its own, from which containers may have mounts passed on.
		{"", "/", "", syscall.MS_REC | syscall.MS_PRIVATE, ""},
		{"", "/", "", syscall.MS_REC | syscall.MS_SHARED, ""},
		{"proc", "/proc", "proc", syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC, ""},
		{"tmpfs", "/run", "tmpfs", syscall.MS_NOSUID, "mode=755"},
		{"tmpfs", "/tmp", "tmpfs", syscall.MS_NOSUID | syscall.MS_NODEV, "mode=1777"},
		{magicLink(own), "/var", "", syscall.MS_BIND, ""},
	} {
		if err := syscall.Mount(mount.source, mount.target, mount.kind, mount.flags, mount.options); err != nil {
			return fmt.Errorf("mount %s of the node: %w", mount.target, err)
		}
	}
	if err := mountEtc(); err != nil {
		return err
	}
	if err := s.linkBinaries(folders); err != nil {
		return err
	}
	for name, value := range kernelSettings {
		if err := shadow(filepath.Join("/proc/sys", name), value); err != nil {
			return err
		}
	}
	return linkRun()
}

// mountEtc keeps what is written to /etc in memory.
func mountEtc() error {
	const upper, work = "/run/lab/etc", "/run/lab/etc-work"
	for _, dir := range []string{upper, work} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make the node's /etc: %w", err)
		}
	}
	if err := syscall.Mount("overlay", "/etc", "overlay", 0, "lowerdir=/etc,upperdir="+upper+",workdir="+work); err != nil {
		return fmt.Errorf("mount /etc of the node: %w", err)
	}
	return nil
}

// shadow covers a file of the kernel's with one that has the value.
func shadow(file, value string) error {
	if _, err := os.Stat(file); err != nil {
		return nil //nolint:nilerr // this kernel has no such setting
	}
	substitute := filepath.Join("/run/lab/settings", file)
	if err := write(substitute, []byte(value+"\n")); err != nil {
		return fmt.Errorf("shadow %s: %w", file, err)
	}
	if err := syscall.Mount(substitute, file, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("shadow %s: %w", file, err)
	}
	return nil
}

// linkBinaries mounts the folders that hold the node's programs, and links to
// them from BinDir. (A file mounted alone would not do for runc, which makes an
// overlay of the folder that it finds itself in.)
func (s *Spec) linkBinaries(folders map[string]*os.File) error {
	if err := os.MkdirAll(BinDir, 0o755); err != nil {
		return fmt.Errorf("make the node's folder of programs: %w", err)
	}
	places := map[string]string{}
	for dir, file := range folders {
		place := fmt.Sprintf("/run/lab/programs/%d", len(places))
		places[dir] = place
		if err := os.MkdirAll(place, 0o755); err != nil {
			return fmt.Errorf("make the node's folder of programs: %w", err)
		}
		if err := syscall.Mount(magicLink(file), place, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount %s in the node: %w", dir, err)
		}
	}
	for name, file := range s.Binaries {
		target := filepath.Join(places[filepath.Dir(file)], filepath.Base(file))
		if err := os.Symlink(target, filepath.Join(BinDir, name)); err != nil {
			return fmt.Errorf("link the node's program %s: %w", name, err)
		}
	}
	return nil
}

// linkRun gives /var, which the node has of its own, what distributions keep there.
func linkRun() error {
	if err := os.MkdirAll("/var/lib", 0o755); err != nil {
		return fmt.Errorf("make the node's /var: %w", err)
	}
	for link, target := range map[string]string{"/var/run": "/run", "/var/tmp": "/tmp"} {
		if err := os.Symlink(target, link); err != nil && !os.IsExist(err) {
			return fmt.Errorf("make the node's /var: %w", err)
		}
	}
	return nil
}

// openPath opens a file or folder as a place only.
func openPath(path string) (*os.File, error) {
	const openAsPath = 0x200000 // O_PATH
	file, err := os.OpenFile(path, openAsPath, 0)
	if err != nil {
		return nil, fmt.Errorf("find what the node is made of: %w", err)
	}
	return file, nil
}

// magicLink leads to the open file, even where its path has been mounted over.
func magicLink(file *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", file.Fd()) }
