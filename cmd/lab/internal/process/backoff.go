package process

import "time"

const (
	firstDelay = 300 * time.Millisecond
	maxDelay   = 30 * time.Second
	// healthyAfter is how long a process must have run for its past crashes to be forgotten.
	healthyAfter = 60 * time.Second
)

// backoff says how long to wait before the next start.
type backoff struct {
	next time.Duration
}

func (b *backoff) after(ran time.Duration) time.Duration {
	if b.next == 0 || ran >= healthyAfter {
		b.next = firstDelay
	}
	delay := b.next
	b.next = min(2*b.next, maxDelay)
	return delay
}
