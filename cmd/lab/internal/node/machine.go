package node

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/process"
)

// firstName is what the first process of a node is called; see Main.
const firstName = "lab-node"

// namespaces of a node. That of control groups follows once it has some.
const namespaces = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC

// Machine is a node that runs.
type Machine struct {
	spec Spec
	cmd  *exec.Cmd
	done chan struct{}
}

// Start a node. Before anything runs in it, plug is called with the pid of its
// first process, to connect its network.
func Start(group *process.Group, spec Spec, plug func(pid int) error) (*Machine, error) {
	if err := os.MkdirAll(filepath.Join(spec.Var, "log"), 0o755); err != nil {
		return nil, fmt.Errorf("start node %s: %w", spec.Name, err)
	}
	log, err := os.OpenFile(filepath.Join(spec.Var, "log", ownLog), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start node %s: %w", spec.Name, err)
	}
	defer func() { _ = log.Close() }()
	content, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("start node %s: %w", spec.Name, err)
	}
	// The first process waits for the end of what it reads: by then its network is connected.
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start node %s: %w", spec.Name, err)
	}
	defer func() { _, _ = reader.Close(), writer.Close() }()

	cmd := exec.Command("/proc/self/exe", spec.Name)
	cmd.Args[0] = firstName
	cmd.Env = []string{"PATH=" + BinDir + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
		// A node that restarts closes no connection. Kubernetes' programs ask a silent one
		// whether it lives after this many seconds each, not after 30 and 15: a watch that waits is a Pod that waits.
		"HTTP2_READ_IDLE_TIMEOUT_SECONDS=3", "HTTP2_PING_TIMEOUT_SECONDS=3"}
	cmd.Dir = "/"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = reader, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces}
	if err := group.Start(cmd); err != nil {
		return nil, fmt.Errorf("start node %s: %w", spec.Name, err)
	}
	machine := &Machine{spec: spec, cmd: cmd, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(machine.done)
	}()
	if err = plug(cmd.Process.Pid); err == nil {
		_, err = bytes.NewReader(content).WriteTo(writer)
	}
	if err != nil {
		machine.Kill()
		return nil, fmt.Errorf("start node %s: %w", spec.Name, err)
	}
	return machine, nil
}

// PID of the node's first process, as seen from outside.
func (m *Machine) PID() int { return m.cmd.Process.Pid }

// Spec it was started with.
func (m *Machine) Spec() *Spec { return &m.spec }

// Done is closed when the node has ended.
func (m *Machine) Done() <-chan struct{} { return m.done }

// Kill ends the node as a power cut would, and waits until no process of it is left.
func (m *Machine) Kill() {
	_ = m.cmd.Process.Kill()
	<-m.done
}
