// Package progress reports to a person what a lab is doing: one line a step with
// the time it took, and what a step that takes long is waiting for.
package progress

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/process"
)

// logLines is how much of a log is shown when a step fails.
const logLines = 20

// Reporter prints the progress of a lab.
type Reporter struct {
	mu  sync.Mutex
	out io.Writer
}

// NewReporter prints to the writer.
func NewReporter(out io.Writer) *Reporter { return &Reporter{out: out} }

// Printf prints one line.
func (r *Reporter) Printf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = fmt.Fprintf(r.out, format+"\n", args...)
}

// Step runs one step and prints how long it took. The subject is a cluster's
// name; done is what is true afterwards, as in "kube-apiserver ready". The log,
// when not empty, is the file that explains a failure.
func (r *Reporter) Step(subject, done, log string, run func(note func(string)) error) error {
	begun := time.Now()
	last := ""
	note := func(waiting string) {
		if waiting != last {
			last = waiting
			r.Printf("%s: waiting until %s: %s", subject, done, waiting)
		}
	}
	if err := run(note); err != nil {
		return &StepError{Subject: subject, Step: done, Log: log, Err: err}
	}
	r.Printf("%s: %s (%.1fs)", subject, done, time.Since(begun).Seconds())
	return nil
}

// StepError is a step that failed.
type StepError struct {
	Subject, Step, Log string
	Err                error
}

func (e *StepError) Error() string {
	return fmt.Sprintf("%s: not %s: %v", e.Subject, e.Step, e.Err)
}

func (e *StepError) Unwrap() error { return e.Err }

// Failure prints the error and, when a step failed that has a log, the log's last lines.
func (r *Reporter) Failure(err error) {
	r.Printf("error: %v", err)
	var step *StepError
	if !errors.As(err, &step) || step.Log == "" {
		return
	}
	lines := process.Tail(step.Log, logLines)
	if len(lines) == 0 {
		r.Printf("its log is %s, which is empty", step.Log)
		return
	}
	r.Printf("the last lines of %s:", step.Log)
	for _, line := range lines {
		r.Printf("  | %s", line)
	}
}
