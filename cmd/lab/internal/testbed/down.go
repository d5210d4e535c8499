package testbed

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/process"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/state"
	"github.com/deckhouse-mesh/istio/lib/await"
)

const (
	// downTimeout is how long a lab may take to stop by itself before it is killed.
	downTimeout = time.Minute
	// killedTimeout is how long processes may take to end when they were killed.
	killedTimeout = 15 * time.Second
)

// Down stops the lab that owns the state dir and waits until none of its
// processes is left. It returns the pid of the lab it stopped, 0 when none ran;
// then it still removes processes that an earlier lab may have left.
func Down(ctx context.Context, dir string) (int, error) {
	pid, err := state.Holder(dir)
	if err != nil {
		return 0, err
	}
	if pid != 0 {
		if err := end(ctx, dir, pid); err != nil {
			return 0, err
		}
	}
	if err := process.KillLeftovers(ctx, dir, killedTimeout); err != nil {
		return 0, err
	}
	// A lab that was killed could not do it itself.
	_ = os.Remove(filepath.Join(dir, state.FileName))
	return pid, nil
}

// end asks the lab to stop and, when it does not, kills it; its children die with it.
func end(ctx context.Context, dir string, pid int) error {
	for _, attempt := range []struct {
		signal  syscall.Signal
		timeout time.Duration
	}{{syscall.SIGTERM, downTimeout}, {syscall.SIGKILL, killedTimeout}} {
		if err := syscall.Kill(pid, attempt.signal); err != nil && err != syscall.ESRCH {
			return fmt.Errorf("stop the lab in %s (pid %d): %w", dir, pid, err)
		}
		err := await.Until(ctx, attempt.timeout, func(context.Context) (bool, string, error) {
			holder, err := state.Holder(dir)
			return holder != pid, "", err
		})
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("stop the lab in %s (pid %d): %w", dir, pid, ctx.Err())
		}
	}
	return fmt.Errorf("the lab in %s (pid %d) does not end, though killed", dir, pid)
}
