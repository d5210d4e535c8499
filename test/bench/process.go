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

// process is the PID of one that is measured.
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

// strings of a file that separates them by zeros: cmdline, environ.
func (p process) strings(file string) ([]string, error) {
	content, err := p.file(file)
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(content), "\x00"), "\x00"), nil
}

// usage is what a process used between two looks.
type usage struct {
	cpu       time.Duration
	rss, peak float64 // MiB
}

// meter remembers when measuring began.
type meter struct {
	process process
	before  time.Duration
}

func (p process) measure() (meter, error) {
	before, err := p.cpu()
	return meter{p, before}, err
}

func (m meter) read() (used usage, err error) {
	after, err := m.process.cpu()
	if err != nil {
		return used, err
	}
	used.cpu = after - m.before
	used.rss, used.peak, err = m.process.memory()
	return used, err
}
