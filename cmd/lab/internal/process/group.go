// Package process runs the programs of a lab: it starts them so that none can
// outlive the lab, keeps them running with a back-off, and stops them gently.
package process

import (
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
)

// MarkVariable is set in the environment of every process of a lab to the
// lab's state dir: other processes can see by it which lab started it.
const MarkVariable = "ISTIO_LAB_STATE_DIR"

// Group starts processes that the kernel kills when this program dies, however it dies.
type Group struct {
	mark     string
	requests chan func()
}

// NewGroup makes a group whose processes carry the mark.
//
// The parent-death signal is tied to the thread that forked, not to the
// process. So one goroutine, locked for good to a thread of its own, forks all.
func NewGroup(mark string) *Group {
	group := &Group{mark: mark, requests: make(chan func())}
	go func() {
		runtime.LockOSThread()
		for request := range group.requests {
			request()
		}
	}()
	return group
}

// Start starts a command that the kernel kills when this program dies.
func (g *Group) Start(cmd *exec.Cmd) error {
	cmd.Env = append(append([]string{}, cmd.Env...), MarkVariable+"="+g.mark)
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	// Out of the terminal's group: Ctrl-C reaches the lab only, which then stops things in order.
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	result := make(chan error, 1)
	g.requests <- func() { result <- cmd.Start() }
	if err := <-result; err != nil {
		return fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return nil
}
