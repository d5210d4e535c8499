package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// lookInterval is how often the kubelet is asked. It looks again every ten to fifteen seconds.
	lookInterval = 3 * time.Second
	// sampleTimeout is how long a sample may take to come; the machine may be busy.
	sampleTimeout = 2 * time.Minute
)

// sample is what the kubelet has seen of a container.
type sample struct {
	at time.Time
	// cpu is the time it has computed since it was started.
	cpu time.Duration
	// memory is its working set in MiB: what `kubectl top` shows, and what counts for eviction.
	memory float64
}

// usage of a container between two samples.
type usage struct {
	CPU, Over time.Duration
	// Memory at the end, and the largest in any sample since measuring began, in MiB.
	Memory, Largest float64
}

// perSecond is the CPU time of one second.
func (u usage) perSecond() time.Duration {
	return time.Duration(float64(u.CPU) / max(u.Over.Seconds(), 1))
}

// beyond is the CPU time that a container at rest would not have needed.
func (u usage) beyond(idle time.Duration) time.Duration {
	return max(u.CPU-time.Duration(float64(idle)*u.Over.Seconds()), 0)
}

// meter follows what the kubelet sees of a program.
type meter struct {
	program *program

	mu      sync.Mutex
	last    sample
	largest float64
	changed chan struct{}
	// problem of the last time it was asked.
	problem error
}

// startMeter follows the component until the context ends.
func startMeter(ctx context.Context, c *cluster, of component) (*meter, error) {
	found, err := c.find(ctx, of)
	if err != nil {
		return nil, err
	}
	m := &meter{program: found, changed: make(chan struct{})}
	go func() {
		for {
			m.note(m.program.look(ctx))
			if pause(ctx, lookInterval) != nil {
				return
			}
		}
	}()
	return m, nil
}

func (m *meter) note(seen sample, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.problem = err; err == nil && seen.at.After(m.last.at) {
		m.last, m.largest = seen, max(m.largest, seen.memory)
	}
	close(m.changed)
	m.changed = make(chan struct{})
}

// now is the first sample of after the call: it can take fifteen seconds.
func (m *meter) now(ctx context.Context) (sample, error) {
	asked := time.Now()
	ctx, cancel := context.WithTimeout(ctx, sampleTimeout)
	defer cancel()
	for {
		m.mu.Lock()
		last, changed, problem := m.last, m.changed, m.problem
		m.mu.Unlock()
		if last.at.After(asked) {
			return last, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return sample{}, errors.Join(fmt.Errorf("wait for what the kubelet sees of %s: %w", m.program.container, ctx.Err()), problem)
		}
	}
}

// between two samples.
func (m *meter) between(begin, end sample) usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	return usage{CPU: end.cpu - begin.cpu, Over: end.at.Sub(begin.at), Memory: end.memory, Largest: m.largest}
}

// summary is the part of the kubelet's /stats/summary that is needed here.
type summary struct {
	Pods []struct {
		PodRef     struct{ UID string }
		Containers []struct {
			Name string
			CPU  struct {
				Time                 time.Time
				UsageCoreNanoSeconds uint64
			}
			Memory struct{ WorkingSetBytes uint64 }
		}
	}
}

// look at the program by its node's kubelet, by way of the API server.
func (p *program) look(ctx context.Context) (sample, error) {
	text, err := p.cluster.typed.CoreV1().RESTClient().Get().
		Resource("nodes").Name(p.pod.Spec.NodeName).SubResource("proxy").Suffix("stats", "summary").DoRaw(ctx)
	var seen summary
	if err == nil {
		err = json.Unmarshal(text, &seen)
	}
	if err != nil {
		return sample{}, fmt.Errorf("ask the kubelet of node %s: %w", p.pod.Spec.NodeName, err)
	}
	return seen.of(string(p.pod.UID), p.container)
}

func (s summary) of(pod, container string) (sample, error) {
	for _, each := range s.Pods {
		if each.PodRef.UID != pod {
			continue
		}
		for _, one := range each.Containers {
			if one.Name == container {
				return sample{one.CPU.Time, time.Duration(one.CPU.UsageCoreNanoSeconds), float64(one.Memory.WorkingSetBytes) / (1 << 20)}, nil
			}
		}
	}
	return sample{}, fmt.Errorf("the kubelet reports nothing of container %s", container)
}
