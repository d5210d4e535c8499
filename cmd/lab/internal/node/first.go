package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

const (
	// specFile is where the first process finds the node's spec after it has replaced itself.
	specFile = "/run/lab/spec.json"
	// secondName is what the first process is called once the node has been furnished.
	secondName = "lab-node-init"
	// secretsDir holds what only root may read.
	secretsDir = "/etc/kubernetes/"
)

// Main is the first process of a node. It returns false, and does nothing, when
// the program was not called by such a name.
//
// It has two lives: the first furnishes the node, and ends by an exec, after
// which all threads are in the node's namespace of control groups; the second
// runs the node's programs.
func Main(args []string) bool {
	switch filepath.Base(args[0]) {
	case firstName:
		runtime.LockOSThread()
		if err := furnish(os.Stdin); err != nil {
			fail(err)
		}
		fail(syscall.Exec("/proc/self/exe", append([]string{secondName}, args[1:]...), os.Environ()))
	case secondName:
		if err := supervise(); err != nil {
			fail(err)
		}
	default:
		return false
	}
	return true
}

func fail(err error) {
	fmt.Fprintf(os.Stderr, "node: %v\n", err)
	os.Exit(1)
}

func furnish(input io.Reader) error {
	content, err := io.ReadAll(input)
	if err != nil {
		return fmt.Errorf("read what the node is to be: %w", err)
	}
	var spec Spec
	if err := json.Unmarshal(content, &spec); err != nil {
		return fmt.Errorf("read what the node is to be: %w", err)
	}
	if err := spec.Groups.Enter(spec.Folders); err != nil {
		return err
	}
	if err := syscall.Sethostname([]byte(spec.Name)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	if err := spec.mount(); err != nil {
		return err
	}
	for file, content := range spec.Files {
		if err := write(file, []byte(content)); err != nil {
			return fmt.Errorf("write the node's files: %w", err)
		}
	}
	return write(specFile, content)
}

func write(file string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	// A link would lead to a file of the machine, or nowhere.
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.WriteFile(file, content, mode(file))
}

// mode of a node's file.
func mode(file string) os.FileMode {
	if strings.HasPrefix(file, secretsDir) {
		return 0o600
	}
	return 0o644
}
