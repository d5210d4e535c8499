package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// ticks is USER_HZ, the unit of CPU time in /proc: 100 on every architecture that Linux has today.
const ticks = 100

// process is the PID of a program that this one has started and measures.
type process int

func (p process) file(name string) ([]byte, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", int(p), name))
	if err != nil {
		return nil, fmt.Errorf("look at process %d: %w", int(p), err)
	}
	return content, nil
}

// cpu is the time it has computed so far, user and system (proc(5), fields 14 and 15 of stat).
func (p process) cpu() (time.Duration, error) {
	stat, err := p.file("stat")
	if err != nil {
		return 0, err
	}
	// The name, in parentheses, may contain anything.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("look at process %d: %q is no stat", int(p), stat)
	}
	var sum int64
	for _, field := range fields[11:13] {
		number, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("look at process %d: %w", int(p), err)
		}
		sum += number
	}
	return time.Duration(sum) * time.Second / ticks, nil
}

// memory is what is resident now and at most so far, in MiB.
func (p process) memory() (now, peak float64, err error) {
	status, err := p.file("status")
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		if name != "VmRSS" && name != "VmHWM" {
			continue
		}
		kilobytes, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
		if err != nil {
			return 0, 0, fmt.Errorf("look at the memory of process %d: %w", int(p), err)
		}
		if name == "VmRSS" {
			now = kilobytes / 1024
		} else {
			peak = kilobytes / 1024
		}
	}
	return now, peak, nil
}
