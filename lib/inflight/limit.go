// Package inflight limits the requests in flight of each caller and of all
// together, so that none can take a program, or what is behind it, from the others.
package inflight

import "sync"

// Limit counts requests in flight by caller. Use NewLimit or NewSharedLimit.
type Limit struct {
	// total counts without regard to who has how many; 0 is no limit.
	total  int
	shares Shares

	mu       sync.Mutex
	inFlight int
	byCaller map[string]int
}

// NewLimit allows total requests, of which one caller may have ofOne; a total of 0 is no limit.
func NewLimit(total, ofOne int) *Limit {
	return &Limit{total: total, shares: Shares{OfOne: ofOne}, byCaller: map[string]int{}}
}

// NewSharedLimit allows requests by shares.
func NewSharedLimit(shares Shares) *Limit {
	return &Limit{shares: shares, byCaller: map[string]int{}}
}

// Take counts a request of caller until release is called, unless a limit is
// reached. Only the first call of release counts.
func (l *Limit) Take(caller string) (release func(), reached Bound) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total > 0 && l.inFlight >= l.total {
		return nil, OfAll
	}
	if reached = l.shares.Reached(caller, l.byCaller); reached != None {
		return nil, reached
	}
	l.inFlight++
	l.byCaller[caller]++
	return sync.OnceFunc(func() { l.release(caller) }), None
}

func (l *Limit) release(caller string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight--
	if l.byCaller[caller]--; l.byCaller[caller] == 0 {
		delete(l.byCaller, caller) // addresses of unknown callers would pile up
	}
}

// OfOne is how many requests one caller may have in flight.
func (l *Limit) OfOne() int { return l.shares.OfOne }
