package garbage

import (
	"runtime"
	"testing"
)

func TestWhenGarbageIsCollected(t *testing.T) {
	const kilo, mega = 1 << 10, 1 << 20
	var seen allocated
	for _, step := range []struct {
		name string
		// more is what is allocated from one look to the next.
		more uint64
		want bool
	}{
		{"the program starts", 20 * mega, false},
		{"the first rest", 100 * kilo, true},
		{"it rests on", 100 * kilo, false},
		{"a document is prepared", 5 * mega, false},
		{"another one right after it", 5 * mega, false},
		{"a rest again", 100 * kilo, true},
		{"many polls, as much as a rest may have", 2*mega - 1, false},
		{"and again", 2*mega - 1, false},
		{"and again, and it has become worthwhile", 2*mega - 1, true},
		{"little work", 2 * mega, false},
		{"a rest with little garbage", 100 * kilo, false},
	} {
		if got := seen.due(seen.lastLook + step.more); got != step.want {
			t.Errorf("%s: due() = %v", step.name, got)
		}
	}
}

func TestWhatWasAllocatedIsRead(t *testing.T) {
	before := read()
	kept := make([]byte, 8<<20)
	if more := read() - before; more < uint64(len(kept)) {
		t.Errorf("8 MiB more are %d bytes more", more)
	}
	runtime.KeepAlive(kept)
}
