package process

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// Leftovers lists the processes of this user, other than this one, that carry the mark.
func Leftovers(mark string) ([]int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	want := []byte(MarkVariable + "=" + mark)
	var pids []int
	for _, file := range files {
		environment, err := os.ReadFile(file)
		if err != nil {
			continue // ended meanwhile, or another user's
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil || pid == os.Getpid() {
			continue
		}
		if slices.ContainsFunc(bytes.Split(environment, []byte{0}), func(v []byte) bool { return bytes.Equal(v, want) }) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// KillLeftovers kills what carries the mark and waits until none of it is left.
func KillLeftovers(ctx context.Context, mark string) error {
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for {
		pids, err := Leftovers(mark)
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("processes %v of the lab in %s do not end: %w", pids, mark, ctx.Err())
		case <-poll.C:
		}
	}
}

// Alive tells whether a process with that id exists and is not a zombie.
func Alive(pid int) bool {
	if pid <= 0 {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	// The state follows the command, which is in parentheses and may hold anything.
	rest := stat[bytes.LastIndexByte(stat, ')')+1:]
	fields := bytes.Fields(rest)
	return len(fields) > 0 && !bytes.Equal(fields[0], []byte("Z")) && !bytes.Equal(fields[0], []byte("X"))
}
