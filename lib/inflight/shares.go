package inflight

// Shares divides something among callers: half of it evenly, the other half by
// order of arrival. So one caller can use more than its part while there is enough, and
// still nobody, however many flood, takes from another what is guaranteed to it.
type Shares struct {
	// Total of all callers; 0 is no limit.
	Total int
	// OfOne is what one caller may have at most.
	OfOne int
	// Callers is how many there are. Those that have something count in any case.
	Callers func() int
}

// Bound is a limit that a caller has reached.
type Bound int

// Bounds.
const (
	// None: the caller may have one more.
	None Bound = iota
	// OfCaller is the caller's own.
	OfCaller
	// OfAll is that of all callers together, beyond what is guaranteed to the caller.
	OfAll
)

// Reached says why the caller may not have one more. used is what each has, those with nothing left out.
func (s Shares) Reached(caller string, used map[string]int) Bound {
	mine := used[caller]
	if mine >= s.OfOne {
		return OfCaller
	}
	if s.Total == 0 {
		return None
	}
	guaranteed, callers := s.guaranteed(len(used))
	if mine < guaranteed {
		return None
	}
	free := s.Total - callers*guaranteed
	for _, each := range used {
		free -= max(0, each-guaranteed)
	}
	if free <= 0 {
		return OfAll
	}
	return None
}

// guaranteed is what each of the callers may have whatever the others do. More
// callers than before make it less: until then, all together may briefly exceed Total.
func (s Shares) guaranteed(using int) (guaranteed, callers int) {
	callers = max(using, 1)
	if s.Callers != nil {
		callers = max(callers, s.Callers())
	}
	return min(max(s.Total/2/callers, 1), s.OfOne), callers
}
