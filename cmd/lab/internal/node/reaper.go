package node

import (
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// reaper starts the children of a node's first process and takes notice of
// their ends, as of those of all processes whose parents have ended before
// them: they become children of the first.
type reaper struct {
	mu      sync.Mutex
	waiting map[int]chan syscall.WaitStatus
}

func newReaper() *reaper {
	r := &reaper{waiting: map[int]chan syscall.WaitStatus{}}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGCHLD)
	go func() {
		for range signals {
			r.reap()
		}
	}()
	return r
}

func (r *reaper) reap() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if ended, own := r.waiting[pid]; own {
			delete(r.waiting, pid)
			ended <- status
		}
	}
}

// run a program with its output going to the log, and returns how it ended.
func (r *reaper) run(path string, args []string, log *os.File) (syscall.WaitStatus, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer func() { _ = null.Close() }()
	ended := make(chan syscall.WaitStatus, 1)
	r.mu.Lock() // its end is not noticed before its pid is known
	pid, err := syscall.ForkExec(path, append([]string{path}, args...), &syscall.ProcAttr{
		Dir: "/", Env: os.Environ(), Files: []uintptr{null.Fd(), log.Fd(), log.Fd()},
		Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err == nil {
		r.waiting[pid] = ended
	}
	r.mu.Unlock()
	if err != nil {
		return 0, &os.PathError{Op: "start", Path: path, Err: err}
	}
	return <-ended, nil
}
