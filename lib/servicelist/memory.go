package servicelist

import (
	"math"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// maxRemembered is about how many bytes of blocks a memory retains: those of some
// hundred thousand services. Peers decide what is in them.
const maxRemembered = 24 << 20

// memory retains the blocks that were used last, so that they are not encoded or
// decoded again. It only saves work. The zero value is empty; it is safe for
// concurrent use.
type memory[K comparable] struct {
	mu     sync.Mutex
	blocks *simplelru.LRU[K, *block]
	bytes  int
}

func (m *memory[K]) get(key K) (*block, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.blocks == nil {
		return nil, false
	}
	return m.blocks.Get(key)
}

func (m *memory[K]) add(key K, added *block) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.blocks == nil {
		blocks, err := simplelru.NewLRU(math.MaxInt, func(_ K, gone *block) { m.bytes -= gone.size() })
		if err != nil { // of less than one block
			panic(err)
		}
		m.blocks = blocks
	}
	m.blocks.Remove(key)
	m.blocks.Add(key, added)
	m.bytes += added.size()
	for m.bytes > maxRemembered {
		m.blocks.RemoveOldest()
	}
}
