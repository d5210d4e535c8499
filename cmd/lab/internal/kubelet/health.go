package kubelet

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/process"
)

const (
	// firstProbes is how often a young container that was never ready is
	// probed. The kubelet waits a whole period; a lab is started too often for that.
	firstProbes = 100 * time.Millisecond
	// young is for how long; what takes longer is not to fill its log with failed probes.
	young = 8 * time.Second
)

// health runs the probes of one container.
type health struct {
	spec    *corev1.Container
	address netip.Addr
	keeper  *process.Keeper
	changed func()

	mu sync.Mutex
	// startedPID and readyPID are the lives of the process that passed the
	// startup and the readiness probe.
	startedPID, readyPID int
	message              string
}

func newHealth(spec *corev1.Container, address netip.Addr, keeper *process.Keeper, changed func()) *health {
	return &health{spec: spec, address: address, keeper: keeper, changed: changed}
}

// state of the container: whether it has started up, whether it is ready, and why not.
func (h *health) state(status process.Status) (started, ready bool, message string) {
	if status.State != process.Running {
		return false, false, ""
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	started = h.spec.StartupProbe == nil || h.startedPID == status.PID
	ready = started && (h.spec.ReadinessProbe == nil || h.readyPID == status.PID)
	return started, ready, h.message
}

func (h *health) run(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { h.loop(ctx, h.spec.StartupProbe, "startup", h.startup) })
	all.Go(func() { h.loop(ctx, h.spec.ReadinessProbe, "readiness", h.readiness) })
	all.Go(func() { h.loop(ctx, h.spec.LivenessProbe, "liveness", h.liveness) })
	all.Wait()
}

// loop runs one probe for as long as the container exists, and judges every
// success and failure after the probe's thresholds.
func (h *health) loop(ctx context.Context, probe *corev1.Probe, kind string, judge func(pid int, passed bool, err error)) {
	if probe == nil {
		return
	}
	run, err := newProbe(probe, h.spec, h.address)
	if err != nil {
		h.note(fmt.Sprintf("%s probe: %v", kind, err))
		return
	}
	period := time.Duration(max(1, probe.PeriodSeconds)) * time.Second
	delay := time.Duration(probe.InitialDelaySeconds) * time.Second
	pid, passes, failures, everPassed := 0, int32(0), int32(0), false
	for {
		wait := period
		if status := h.keeper.Status(); !everPassed && kind != "liveness" && (status.PID != pid || time.Since(status.Started) < young) {
			wait = firstProbes
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		status := h.keeper.Status()
		if status.State != process.Running || time.Since(status.Started) < delay {
			continue
		}
		if status.PID != pid {
			pid, passes, failures, everPassed = status.PID, 0, 0, false
		}
		if started, _, _ := h.state(status); !started && kind != "startup" {
			continue
		}
		if err := run(ctx); err == nil {
			passes, failures, everPassed = passes+1, 0, true
			if passes >= max(1, probe.SuccessThreshold) {
				judge(pid, true, nil)
			}
		} else if ctx.Err() == nil {
			passes, failures = 0, failures+1
			if failures >= max(1, probe.FailureThreshold) && !startingUp(probe, kind, status.Started) {
				judge(pid, false, fmt.Errorf("%s probe failed: %w", kind, err))
			}
		}
	}
}

// startingUp tells whether a container still has time to pass its startup
// probe: while probes come faster than their period, the number of failures does not tell.
func startingUp(probe *corev1.Probe, kind string, since time.Time) bool {
	allowed := probe.InitialDelaySeconds + max(1, probe.PeriodSeconds)*max(1, probe.FailureThreshold)
	return kind == "startup" && time.Since(since) < time.Duration(allowed)*time.Second
}

func (h *health) startup(pid int, passed bool, err error) {
	if !passed {
		h.keeper.Restart(err.Error())
		return
	}
	h.mu.Lock()
	changed := h.startedPID != pid
	h.startedPID = pid
	h.mu.Unlock()
	if changed {
		h.changed()
	}
}

func (h *health) readiness(pid int, passed bool, err error) {
	h.mu.Lock()
	was, message := h.readyPID, h.message
	h.readyPID, h.message = 0, ""
	if passed {
		h.readyPID = pid
	} else {
		h.message = err.Error()
	}
	changed := was != h.readyPID || message != h.message
	h.mu.Unlock()
	if changed {
		h.changed()
	}
}

func (h *health) liveness(_ int, passed bool, err error) {
	if !passed {
		h.keeper.Restart(err.Error())
	}
}

func (h *health) note(message string) {
	h.mu.Lock()
	h.message = message
	h.mu.Unlock()
	h.changed()
}
