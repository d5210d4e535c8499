// Package limits bounds what one neighbour can have going at a time, so that
// none can take the proxy, or the API server behind it, from the others.
package limits

import "sync"

// Places counts what is taken, by neighbour. Use New.
type Places struct {
	limit int

	mu    sync.Mutex
	taken map[string]int
}

// New makes limit places for each neighbour.
func New(limit int) *Places { return &Places{limit: limit, taken: map[string]int{}} }

// Take takes a place for who; false means that there is none left. Whoever took
// one calls free, once.
func (p *Places) Take(who string) (free func(), ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken[who] >= p.limit {
		return nil, false
	}
	p.taken[who]++
	return sync.OnceFunc(func() { p.free(who) }), true
}

func (p *Places) free(who string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken[who]--; p.taken[who] == 0 {
		delete(p.taken, who)
	}
}
