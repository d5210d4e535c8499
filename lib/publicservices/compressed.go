package publicservices

import (
	"compress/gzip"
	"hash/fnv"
	"hash/maphash"
	"io"
)

// Sizes estimates how many bytes peers need to store Services in a status,
// which compresses them. What it has measured it remembers until the next
// estimate. The zero value is ready; it is not safe for concurrent use.
type Sizes struct {
	seed     maphash.Seed
	measured map[uint64]int
	writer   *gzip.Writer
}

const (
	// blockEntries is how many Services are compressed together, on average, and
	// maxBlockEntries at most. Peers take more at once, and so compress better: the estimate is from above.
	blockEntries    = 64
	maxBlockEntries = 256
	// blockFrame is what a peer's status has around a block.
	blockFrame = 256
)

// choose the Services to publish: all that fit into the limits, and of more a fair share of each namespace.
func (s *Sizes) choose(entries []entry, limits cost) (published, surplus []entry, err error) {
	published, surplus = fair(entries, limits)
	// Fewer Services compress worse, so that what is left may again be too much.
	for margin := 0; total(published)[plainBytes] > limits[compressedBytes]; margin += limits[compressedBytes] / 50 {
		if err := s.estimate(published); err != nil {
			return nil, nil, err
		}
		if total(published).within(limits) {
			break
		}
		narrowed := limits
		narrowed[compressedBytes] = limits[compressedBytes] - margin
		var more []entry
		published, more = fair(published, narrowed)
		surplus = append(surplus, more...)
	}
	return published, surplus, nil
}

// estimate adds to each entry what it takes, compressed.
func (s *Sizes) estimate(entries []entry) error {
	if s.measured == nil {
		s.seed, s.measured = maphash.MakeSeed(), map[uint64]int{}
	}
	next := map[uint64]int{}
	for begin := 0; begin < len(entries); {
		end := begin + 1
		for end < len(entries) && end-begin < maxBlockEntries && !beginsBlock(entries[end].hostname) {
			end++
		}
		block := entries[begin:end]
		key := s.key(block)
		size, known := s.measured[key]
		if !known {
			var err error
			if size, err = s.compress(block); err != nil {
				return err
			}
		}
		next[key] = size
		divide(block, size)
		begin = end
	}
	s.measured = next
	return nil
}

// divide a block's size among its entries, by what they are uncompressed.
func divide(block []entry, size int) {
	plain := total(block)[plainBytes]
	for index := range block {
		block[index].cost[compressedBytes] = size*block[index].cost[plainBytes]/plain + 1
	}
}

// beginsBlock is true for a hostname that is the first of its block: a new or
// deleted Service changes its own block only.
func beginsBlock(hostname string) bool {
	hash := fnv.New32a()
	_, _ = io.WriteString(hash, hostname)
	return hash.Sum32()%blockEntries == 0
}

func (s *Sizes) key(block []entry) uint64 {
	var hash maphash.Hash
	hash.SetSeed(s.seed)
	for _, each := range block {
		_, _ = hash.WriteString(each.opening)
		for _, account := range each.accounts {
			_, _ = hash.WriteString(account)
			_ = hash.WriteByte(0)
		}
	}
	return hash.Sum64()
}

// compress returns the size of the block in base64, as JSON contains it.
func (s *Sizes) compress(block []entry) (int, error) {
	var counted counter
	if s.writer == nil {
		s.writer = gzip.NewWriter(&counted)
	} else {
		s.writer.Reset(&counted)
	}
	var buffer []byte
	for _, each := range block {
		var err error
		if buffer, err = each.appendTo(buffer[:0], each.accounts); err != nil {
			return 0, err
		}
		if _, err := s.writer.Write(append(buffer, ',')); err != nil {
			return 0, err
		}
	}
	if err := s.writer.Close(); err != nil {
		return 0, err
	}
	return (int(counted)+2)/3*4 + blockFrame, nil
}

// counter counts what is written to it.
type counter int

func (c *counter) Write(content []byte) (int, error) {
	*c += counter(len(content))
	return len(content), nil
}
