package main

import (
	"fmt"
	"time"

	"github.com/prometheus/procfs"
)

// process is the PID of a program that this one has started and measures.
type process int

// cpu is the time it has computed so far, user and system.
func (p process) cpu() (time.Duration, error) {
	seen, err := procfs.NewProc(int(p))
	if err != nil {
		return 0, fmt.Errorf("look at process %d: %w", int(p), err)
	}
	stat, err := seen.Stat()
	if err != nil {
		return 0, fmt.Errorf("look at process %d: %w", int(p), err)
	}
	return time.Duration(stat.CPUTime() * float64(time.Second)), nil
}

// memory is what is resident now and at most so far, in MiB.
func (p process) memory() (now, peak float64, err error) {
	seen, err := procfs.NewProc(int(p))
	if err != nil {
		return 0, 0, fmt.Errorf("look at process %d: %w", int(p), err)
	}
	status, err := seen.NewStatus()
	if err != nil {
		return 0, 0, fmt.Errorf("look at process %d: %w", int(p), err)
	}
	const mebibyte = 1 << 20
	return float64(status.VmRSS) / mebibyte, float64(status.VmHWM) / mebibyte, nil
}
