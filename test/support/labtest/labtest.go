// Package labtest starts labs (bin/lab) for programs that test or measure on
// them, and stops them again. Paths are those of the repository's root, or of
// the folder that a Program is relative to.
package labtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// stopGrace is how long a program in the fabric may take to end.
const stopGrace = 20 * time.Second

// Recipe of a lab.
type Recipe struct {
	// Root of the repository, where `make build` leaves bin/lab; "." when it is empty.
	Root string
	// Mode in which the clusters are joined; the lab's own default when it is empty.
	Mode string
	// Clusters, and Nodes of each; 0 is 1.
	Clusters, Nodes int
	// Flags of `lab up` besides.
	Flags []string
	// Output is where the lab reports its progress; when it is nil, errors contain it.
	Output io.Writer
}

// Lab that runs.
type Lab struct {
	// StateDir is an absolute path.
	StateDir string
	program  string
	output   io.Writer
	// own is whether it was started here.
	own bool
}

// Start a new lab in a temporary folder whose name begins with the prefix. A lab that did not start is removed again.
func Start(ctx context.Context, prefix string, of Recipe) (*Lab, error) {
	dir, err := os.MkdirTemp("", prefix)
	if err != nil {
		return nil, fmt.Errorf("make a folder for the lab: %w", err)
	}
	lab, err := Use(dir, of)
	if err != nil {
		return nil, err
	}
	lab.own = true
	args := []string{"up", "--clusters", strconv.Itoa(of.Clusters), "--nodes", strconv.Itoa(max(of.Nodes, 1)), "--detach"}
	if of.Mode != "" {
		args = append(args, "--mode", of.Mode)
	}
	if err := lab.run(ctx, append(args, of.Flags...)...); err != nil {
		return nil, errors.Join(fmt.Errorf("start a lab, whose logs are in %s: %w", dir, err), lab.run(context.Background(), "down"))
	}
	return lab, nil
}

// Use a lab that a person has started, and that Stop leaves as it is.
func Use(dir string, of Recipe) (*Lab, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find the lab's folder: %w", err)
	}
	program, err := filepath.Abs(filepath.Join(of.Root, "bin", "lab"))
	if err != nil {
		return nil, fmt.Errorf("find bin/lab: %w", err)
	}
	return &Lab{StateDir: absolute, program: program, output: of.Output}, nil
}

// Stop the lab if it was started here, and remove its folder. When what ran on it has failed, what may explain it is
// collected there first, and the folder stays. It also stops a lab whose tests were interrupted.
func (l *Lab) Stop(failed bool) error {
	if !l.own {
		return nil
	}
	ctx := context.Background()
	if failed {
		_ = l.run(ctx, "collect") // without it the lab is to be stopped all the same
	}
	if err := l.run(ctx, "down"); err != nil {
		return err
	}
	if failed {
		fmt.Fprintln(os.Stderr, "what the lab has left is retained in", l.StateDir)
		return nil
	}
	return os.RemoveAll(l.StateDir)
}

// Exec prepares a command in the lab's fabric. It is asked to end when the context does.
func (l *Lab) Exec(ctx context.Context, command ...string) *exec.Cmd {
	prepared := exec.CommandContext(ctx, l.program, append([]string{"exec", "--state-dir", l.StateDir, "--"}, command...)...)
	prepared.Cancel = func() error { return prepared.Process.Signal(syscall.SIGTERM) }
	prepared.WaitDelay = stopGrace
	return prepared
}

// run a command of the lab to its end.
func (l *Lab) run(ctx context.Context, args ...string) error {
	command := exec.CommandContext(ctx, l.program, append(args, "--state-dir", l.StateDir)...)
	var said bytes.Buffer
	command.Stdout, command.Stderr = &said, &said
	if l.output != nil {
		command.Stdout, command.Stderr = l.output, l.output
	}
	if err := command.Run(); err != nil {
		return fmt.Errorf("bin/lab %s: %w (was it built? `make images`) %s", args[0], err, bytes.TrimSpace(said.Bytes()))
	}
	return nil
}
