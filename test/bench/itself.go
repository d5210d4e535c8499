package main

import (
	"context"
	"fmt"
	"time"
)

const (
	// telemetryPort is the exporter's port with metrics.
	telemetryPort = "telemetry"
	// followInterval is how often memory is looked at while it may rise and fall.
	followInterval = 50 * time.Millisecond
)

// itself is what a program's own metrics say of its process, at the moment they are read.
type itself struct {
	cpu time.Duration
	// memory that is resident, in MiB.
	memory float64
}

func (p *program) measureItself(ctx context.Context) (itself, error) {
	families, err := p.metrics(ctx, telemetryPort)
	if err != nil {
		return itself{}, err
	}
	cpu, err := sumOf(families, "process_cpu_seconds_total")
	if err != nil {
		return itself{}, fmt.Errorf("%s: %w", p.container, err)
	}
	memory, err := sumOf(families, "process_resident_memory_bytes")
	if err != nil {
		return itself{}, fmt.Errorf("%s: %w", p.container, err)
	}
	return itself{time.Duration(cpu * float64(time.Second)), memory / (1 << 20)}, nil
}

// followMemory until the returned function is called, which returns the most that was seen.
func (p *program) followMemory(ctx context.Context) (peak func() (float64, error)) {
	ctx, cancel := context.WithCancel(ctx)
	var most float64
	var problem error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for pause(ctx, followInterval) == nil {
			seen, err := p.measureItself(ctx)
			if ctx.Err() != nil {
				return
			}
			if problem = err; err != nil {
				return
			}
			most = max(most, seen.memory)
		}
	}()
	return func() (float64, error) {
		cancel()
		<-ended
		return most, problem
	}
}

// awaitWaiters waits until the exporter says that it holds so many answers.
func (p *program) awaitWaiters(ctx context.Context, count int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		families, err := p.metrics(ctx, telemetryPort)
		if err != nil {
			return err
		}
		held, err := sumOf(families, "metadata_exporter_waiters")
		if err != nil {
			return err
		}
		if held >= float64(count) {
			return nil
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return fmt.Errorf("the exporter holds %.0f answers, not %d: %w", held, count, err)
		}
	}
}
