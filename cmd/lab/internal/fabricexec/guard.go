package fabricexec

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const (
	// grace of a command that is asked to end.
	grace = 5 * time.Second
	// failed is the exit code of a guard that could not start the command.
	failed = 125
	// killPoll is how often the remaining processes of a command are looked for.
	killPoll = 10 * time.Millisecond
)

// Main is the guard: it starts the command, and ends it and all its
// descendants when its parent is gone, or the lab. It returns false, and does
// nothing, when the program was not called by its name.
func Main(args []string) bool {
	if filepath.Base(args[0]) != guardName {
		return false
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, orphaned, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP)
	dir, network, command := args[1], args[2], args[4:]
	lab, err := strconv.Atoi(args[3])
	if err == nil {
		err = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	}
	var pid int
	if err == nil {
		pid, err = start(dir, network, command)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "error: run %s in the fabric: %v\n", command[0], err)
		os.Exit(failed)
	}
	go obey(signals, pid)
	go watch(lab)
	os.Exit(reap(pid))
	return true
}

// start the command on a thread that is in the fabric for good.
func start(dir, network string, command []string) (pid int, err error) {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := enter(dir, network)
		if err == nil {
			pid, err = fork(command)
		}
		started <- err
		if err == nil {
			select {} // the end of the thread that started the command would end the command
		}
	}()
	err = <-started
	return pid, err
}

func fork(command []string) (int, error) {
	path, err := exec.LookPath(command[0])
	if err != nil {
		return 0, err
	}
	return syscall.ForkExec(path, command, &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	})
}

// enter the fabric's network and a mount namespace of this thread's own, with the fabric's resolver.
func enter(dir, network string) error {
	handle, err := netns.GetFromPath(network)
	if err != nil {
		return fmt.Errorf("find the fabric's network: %w", err)
	}
	defer func() { _ = handle.Close() }()
	if err := netns.Set(handle); err != nil {
		return fmt.Errorf("enter the fabric's network: %w", err)
	}
	if err := syscall.Unshare(syscall.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a mount namespace: %w", err)
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make a mount namespace: %w", err)
	}
	for name, target := range resolverFiles {
		// The target may be a link.
		file, err := filepath.EvalSymlinks(target)
		if err != nil {
			return fmt.Errorf("use the fabric's DNS: %w: make it a file", err)
		}
		if err := syscall.Mount(filepath.Join(dir, name), file, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("use the fabric's DNS: mount %s: %w", file, err)
		}
	}
	// A cache of names would answer for the machine.
	if err := syscall.Mount("tmpfs", "/run/nscd", "tmpfs", 0, "mode=755"); err != nil && !errors.Is(err, syscall.ENOENT) {
		return fmt.Errorf("use the fabric's DNS: %w", err)
	}
	return nil
}

// obey signals: all is killed when the parent is gone; a request to end is
// passed on, and enforced after a while. A terminal's reach the command without help.
func obey(signals <-chan os.Signal, pid int) {
	for received := range signals {
		switch received {
		case orphaned:
			killAll()
		case syscall.SIGTERM, syscall.SIGHUP:
			if number, ok := received.(syscall.Signal); ok {
				_ = syscall.Kill(pid, number)
			}
			time.AfterFunc(grace, func() { killAll() })
		}
	}
}

// watch kills all when the lab is gone: nothing of it may live on.
func watch(lab int) {
	handle, err := unix.PidfdOpen(lab, 0)
	if err == nil {
		for {
			_, err = unix.Poll([]unix.PollFd{{Fd: int32(handle), Events: unix.POLLIN}}, -1)
			if !errors.Is(err, syscall.EINTR) {
				break
			}
		}
	}
	fmt.Fprintln(os.Stderr, "error: the lab has ended, and with it what ran in its fabric")
	killAll()
}

// killAll descendants, again and again until this process, which waits for them, ends.
func killAll() {
	for {
		for _, pid := range descendants(os.Getpid()) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(killPoll)
	}
}

// reap all children until the command has ended, and then what it left behind,
// which is killed: it has become a child of this process.
func reap(command int) (code int) {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil: // none is left
			return code
		case pid == command:
			code = status.ExitStatus()
			if status.Signaled() {
				code = 128 + int(status.Signal())
			}
			go killAll()
		}
	}
}

// descendants of a process, as /proc shows them now.
func descendants(root int) []int {
	processes, err := procfs.AllProcs()
	if err != nil {
		return nil
	}
	children := map[int][]int{}
	for _, process := range processes {
		if stat, err := process.Stat(); err == nil { // else it has ended meanwhile
			children[stat.PPID] = append(children[stat.PPID], process.PID)
		}
	}
	var all []int
	for open := children[root]; len(open) > 0; open = open[1:] {
		all = append(all, open[0])
		open = append(open, children[open[0]]...)
	}
	return all
}
