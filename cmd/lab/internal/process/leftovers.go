package process

import (
	"context"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/prometheus/procfs"

	"github.com/deckhouse-mesh/istio/lib/await"
)

// Leftovers lists the processes of this user, other than this one, that carry the mark.
func Leftovers(mark string) ([]int, error) {
	all, err := procfs.AllProcs()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var pids []int
	for _, process := range all {
		// One that cannot be read has ended meanwhile, or is another user's.
		environment, err := process.Environ()
		if err == nil && process.PID != os.Getpid() && slices.Contains(environment, MarkVariable+"="+mark) {
			pids = append(pids, process.PID)
		}
	}
	return pids, nil
}

// KillLeftovers kills what carries the mark and waits until none of it is left.
func KillLeftovers(ctx context.Context, mark string, timeout time.Duration) error {
	return await.Until(ctx, timeout, func(context.Context) (bool, string, error) {
		pids, err := Leftovers(mark)
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		return len(pids) == 0, fmt.Sprintf("processes %v of the lab in %s", pids, mark), err
	})
}

// Alive reports whether a process with that id exists and is not a zombie.
func Alive(pid int) bool {
	process, err := procfs.NewProc(pid)
	if err != nil {
		return false
	}
	stat, err := process.Stat()
	return err == nil && stat.State != "Z" && stat.State != "X"
}
