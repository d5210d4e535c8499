package process

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
	"strings"
	"syscall"
	"testing"
	"time"
)

// parentVariable makes this test binary act as a program that starts a child and then waits to be killed.
const parentVariable = "PROCESS_TEST_PARENT_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(parentVariable); dir != "" {
		keeper := NewGroup(dir).Keep(sleeper(dir))
		for keeper.Status().State != Running {
			time.Sleep(time.Millisecond)
		}
		fmt.Println(keeper.Status().PID)
		select {}
	}
	os.Exit(m.Run())
}

func sleeper(dir string) Options {
	return shell(dir, "exec sleep 600")
}

func shell(dir, script string) Options {
	return Options{
		Grace: 10 * time.Second,
		Next: func(context.Context) (Command, error) {
			return Command{
				Path: "/bin/sh", Args: []string{"-c", script}, Env: []string{"PATH=" + os.Getenv("PATH")},
				Dir: dir, Log: filepath.Join(dir, "log"),
			}, nil
		},
	}
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("not within 20 s: %s", what)
}

func keep(t *testing.T, options Options) *Keeper {
	t.Helper()
	keeper := NewGroup(t.TempDir()).Keep(options)
	t.Cleanup(func() {
		keeper.Stop()
		<-keeper.Done()
	})
	return keeper
}

func TestAKilledProcessIsStartedAgain(t *testing.T) {
	keeper := keep(t, sleeper(t.TempDir()))
	eventually(t, "first start", func() bool { return keeper.Status().State == Running })
	first := keeper.Status().PID
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "second start", func() bool {
		status := keeper.Status()
		return status.State == Running && status.PID != first
	})
	status := keeper.Status()
	if status.Restarts != 1 || status.Last == nil || status.Last.Signal != int(syscall.SIGKILL) {
		t.Fatalf("status after a kill: %+v, last %+v", status, status.Last)
	}
}

func TestStop(t *testing.T) {
	for name, test := range map[string]struct {
		script string
		grace  time.Duration
		log    string
	}{
		"lets a process end by itself":         {`trap 'echo goodbye; exit 0' TERM; echo up; while :; do sleep 0.01; done`, 15 * time.Second, "up\ngoodbye\n"},
		"kills a process that ignores SIGTERM": {`trap '' TERM; echo up; while :; do sleep 0.01; done`, 50 * time.Millisecond, "up\n"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			options := shell(dir, test.script)
			options.Grace = test.grace
			keeper := keep(t, options)
			log := filepath.Join(dir, "log")
			eventually(t, "the script runs", func() bool { return len(Tail(log, 1)) == 1 })
			pid := keeper.Status().PID
			keeper.Stop()
			select {
			case <-keeper.Done():
			case <-time.After(20 * time.Second):
				t.Fatal("not stopped within 20 s")
			}
			if Alive(pid) {
				t.Fatalf("process %d lives on", pid)
			}
			if got := keeper.Status().State; got != Stopped {
				t.Fatalf("state %q", got)
			}
			content, err := os.ReadFile(log)
			if err != nil || string(content) != test.log {
				t.Fatalf("log %q (%v), want %q", content, err, test.log)
			}
		})
	}
}

func TestACommandThatCannotBePreparedIsRetriedAndSaysWhy(t *testing.T) {
	options := sleeper(t.TempDir())
	prepare := options.Next
	calls := 0
	options.Next = func(ctx context.Context) (Command, error) {
		if calls++; calls == 1 {
			return Command{}, errors.New("configmap is missing")
		}
		return prepare(ctx)
	}
	refused := make(chan error, 1)
	var keeper *Keeper
	ready := make(chan struct{})
	options.Changed = func() {
		<-ready
		if status := keeper.Status(); status.State == BackOff {
			select {
			case refused <- status.StartError:
			default:
			}
		}
	}
	keeper = keep(t, options)
	close(ready)
	eventually(t, "running at the second attempt", func() bool { return keeper.Status().State == Running })
	if err := <-refused; err == nil || err.Error() != "configmap is missing" {
		t.Fatalf("start error %v", err)
	}
	if status := keeper.Status(); status.Restarts != 0 || status.StartError != nil {
		t.Fatalf("a process that ran once has %d restarts, start error %v", status.Restarts, status.StartError)
	}
}

func TestNoProcessOutlivesAKilledParent(t *testing.T) {
	dir := t.TempDir()
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), parentVariable+"="+dir)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 32)
	n, err := out.Read(line)
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(bytes.Trim(line[:n], "\x00"))))
	if err != nil {
		t.Fatal(err)
	}
	if leftovers, err := Leftovers(dir); err != nil || len(leftovers) != 1 || leftovers[0] != child {
		t.Fatalf("leftovers of a living group: %v (%v), want [%d]", leftovers, err, child)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	eventually(t, "the child dies with its parent", func() bool { return !Alive(child) })
}

func TestKillLeftoversEndsEveryMarkedProcess(t *testing.T) {
	dir := t.TempDir()
	command, err := sleeper(dir).Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cmd, err := NewGroup(dir).start(command)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := KillLeftovers(ctx, dir); err != nil {
		t.Fatal(err)
	}
	if exit := describe(<-ended); exit.Signal != int(syscall.SIGKILL) {
		t.Fatalf("ended by %s", exit.Reason)
	}
}

func TestTailReturnsTheLastLines(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(file, []byte("one\ntwo\nthree\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(Tail(file, 2), ","); got != "two,three" {
		t.Fatalf("Tail = %q", got)
	}
	if got := Tail(file+".absent", 2); got != nil {
		t.Fatalf("Tail of an absent file = %q", got)
	}
}
