package process

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// State of a kept process.
type State string

// States, as `lab status` shows them.
const (
	// Starting: the command is being prepared or forked.
	Starting State = "starting"
	// Running: the process exists.
	Running State = "running"
	// BackOff: it ended, or could not be started, and is started again after a delay.
	BackOff State = "back-off"
	// Stopped for good.
	Stopped State = "stopped"
)

// Exit is how a life of a process ended.
type Exit struct {
	// Code is the exit code, -1 when a signal ended it or it never started.
	Code int
	// Signal that ended it, 0 for none.
	Signal int
	// Reason in words.
	Reason  string
	Started time.Time
	Ended   time.Time
}

// Status is a snapshot of a kept process.
type Status struct {
	State State
	// PID of the running process, else of the last one; 0 before the first.
	PID int
	// Restarts counts starts after the first.
	Restarts int
	// Started is when the running process was started.
	Started time.Time
	// Last is how the previous life ended, nil in the first.
	Last *Exit
	// StartError says why the process cannot be started, nil when it can.
	StartError error
}

// Options of a kept process.
type Options struct {
	// Next prepares the command; it is called before every start, so that a
	// restarted process sees the configuration of now. Its error is retried with back-off.
	Next func(ctx context.Context) (Command, error)
	// Grace is how long the process may take to end after SIGTERM.
	Grace time.Duration
	// Changed is called after every change of the status; it must not block. May be nil.
	Changed func()
}

// Keeper keeps one process running until it is stopped.
type Keeper struct {
	group   *Group
	options Options
	cancel  context.CancelFunc
	restart chan string
	done    chan struct{}

	mu     sync.Mutex
	status Status
}

// Keep starts a process and starts it again, with back-off, whenever it ends.
func (g *Group) Keep(options Options) *Keeper {
	ctx, cancel := context.WithCancel(context.Background())
	keeper := &Keeper{
		group: g, options: options, cancel: cancel,
		restart: make(chan string, 1), done: make(chan struct{}),
		status: Status{State: Starting},
	}
	go keeper.run(ctx)
	return keeper
}

// Status of now.
func (k *Keeper) Status() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.status
}

// Stop ends the process for good: SIGTERM, and SIGKILL after the grace. It does not wait; see Done.
func (k *Keeper) Stop() { k.cancel() }

// Done is closed when the process has ended for good.
func (k *Keeper) Done() <-chan struct{} { return k.done }

// Restart ends the present life of the process, for the reason given.
func (k *Keeper) Restart(reason string) {
	select {
	case k.restart <- reason:
	default: // one is under way already
	}
}

func (k *Keeper) run(ctx context.Context) {
	defer close(k.done)
	defer k.update(func(s *Status) { s.State = Stopped })
	var delays backoff
	for {
		k.update(func(s *Status) { s.State = Starting })
		begun := time.Now()
		exit, err := k.live(ctx)
		if ctx.Err() != nil {
			return
		}
		delay := time.NewTimer(delays.after(time.Since(begun)))
		k.update(func(s *Status) {
			s.State, s.StartError = BackOff, err
			if exit != nil {
				s.Last = exit
			}
		})
		select {
		case <-ctx.Done():
			delay.Stop()
			return
		case <-delay.C:
		}
		k.update(func(s *Status) {
			if s.PID != 0 && err == nil {
				s.Restarts++
			}
		})
	}
}

// live starts the process once and returns how it ended, or why it could not be started.
func (k *Keeper) live(ctx context.Context) (*Exit, error) {
	command, err := k.options.Next(ctx)
	if err != nil {
		return nil, err
	}
	select { // a restart asked of an earlier life
	case <-k.restart:
	default:
	}
	cmd, err := k.group.start(command)
	if err != nil {
		return nil, err
	}
	started := time.Now()
	k.update(func(s *Status) {
		s.State, s.PID, s.Started, s.StartError = Running, cmd.Process.Pid, started, nil
	})

	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	why := ""
	select {
	case err = <-ended:
	case <-ctx.Done():
		err = k.terminate(cmd, ended)
	case why = <-k.restart:
		err = k.terminate(cmd, ended)
	}
	exit := describe(err)
	if why != "" {
		exit.Reason = fmt.Sprintf("%s (%s)", why, exit.Reason)
	}
	exit.Started, exit.Ended = started, time.Now()
	return exit, nil
}

func (k *Keeper) terminate(cmd *exec.Cmd, ended <-chan error) error {
	_ = cmd.Process.Signal(syscall.SIGTERM)
	grace := time.NewTimer(k.options.Grace)
	defer grace.Stop()
	select {
	case err := <-ended:
		return err
	case <-grace.C:
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	return <-ended
}

func (k *Keeper) update(change func(*Status)) {
	k.mu.Lock()
	change(&k.status)
	k.mu.Unlock()
	if k.options.Changed != nil {
		k.options.Changed()
	}
}

func describe(err error) *Exit {
	if err == nil {
		return &Exit{Reason: "exit code 0"}
	}
	var exited *exec.ExitError
	if errors.As(err, &exited) {
		if status, ok := exited.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return &Exit{Code: -1, Signal: int(status.Signal()), Reason: "signal: " + status.Signal().String()}
		}
		return &Exit{Code: exited.ExitCode(), Reason: fmt.Sprintf("exit code %d", exited.ExitCode())}
	}
	return &Exit{Code: -1, Reason: err.Error()}
}
