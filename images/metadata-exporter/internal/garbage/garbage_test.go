package garbage

import (
	"runtime"
	"testing"
)

func TestWhenGarbageIsCollected(t *testing.T) {
	const mega = 1 << 20
	for name, test := range map[string]struct {
		before, now heap
		want        bool
	}{
		"at rest, a quarter of the heap is garbage": {heap{allocated: 900 * mega}, heap{900*mega + 1000, 40 * mega, 32 * mega}, true},
		"polls alone are a rest":                    {heap{allocated: 900 * mega}, heap{901 * mega, 40 * mega, 32 * mega}, true},
		"a document was prepared meanwhile":         {heap{allocated: 900 * mega}, heap{902 * mega, 40 * mega, 32 * mega}, false},
		"at rest, there is next to no garbage":      {heap{allocated: 900 * mega}, heap{900*mega + 1000, 33 * mega, 32 * mega}, false},
		"nothing was ever collected":                {heap{allocated: 3 * mega}, heap{3 * mega, 3 * mega, 0}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := due(test.before, test.now); got != test.want {
				t.Errorf("due() = %v", got)
			}
		})
	}
}

func TestWhatIsReadOfTheHeap(t *testing.T) {
	runtime.GC()
	before := read()
	if before.live == 0 || before.objects == 0 || before.allocated < before.objects {
		t.Errorf("the heap is %+v", before)
	}
	kept := make([]byte, 8<<20)
	after := read()
	if after.allocated-before.allocated < uint64(len(kept)) {
		t.Errorf("8 MiB more: %+v, before %+v", after, before)
	}
	runtime.KeepAlive(kept)
}
