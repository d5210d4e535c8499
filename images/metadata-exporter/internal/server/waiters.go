package server

import "sync"

// waiters counts held requests, of each caller and of all.
type waiters struct {
	limit, limitOfOne int

	mu       sync.Mutex
	total    int
	byCaller map[string]int
}

// take takes a place for caller; false means that there is none.
func (w *waiters) take(caller string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.total >= w.limit || w.byCaller[caller] >= w.limitOfOne {
		return false
	}
	if w.byCaller == nil {
		w.byCaller = map[string]int{}
	}
	w.total++
	w.byCaller[caller]++
	return true
}

// free gives a place back that take has given to caller.
func (w *waiters) free(caller string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.total--
	if w.byCaller[caller]--; w.byCaller[caller] == 0 {
		delete(w.byCaller, caller) // addresses of strangers would pile up
	}
}
