package v1alpha1

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"hash/maphash"
	"io"
	"iter"
	"slices"
	"sync"

	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// A long list of services is cut into blocks: of one that changes little, not
// much is written, compressed and decompressed. Where it is cut follows from
// hostnames and not from positions: a service that comes or goes changes its own
// block alone.
const (
	// blockServices is how many services a block has on average where they are small,
	// and maxBlockServices how many at most: a peer chooses its hostnames.
	blockServices    = 128
	maxBlockServices = 1024
	// blockBytes is from how many bytes on a block takes no further service.
	blockBytes = 256 << 10
	// maxBlockBytes bounds what a block may become in memory, and maxListBytes all blocks of a list.
	maxBlockBytes = 1 << 20
	maxListBytes  = 64 << 20
)

// block is a part of a list. Use newBlock and readBlock.
type block struct {
	services []metadata.PublicService
	// plainBytes is the size of the block as JSON, sum the hash of that.
	plainBytes int
	sum        [sha256.Size]byte

	mu sync.Mutex
	// plain is the block as JSON, gzip that compressed: one of them at least.
	plain, gzip []byte
}

var (
	byServices memory[uint64]
	byGzip     memory[string]
	// hashSeed keeps peers from choosing services that are taken for others; they are compared besides.
	hashSeed = maphash.MakeSeed()
)

// encodeBlocks cuts the list, and tells how many bytes of JSON it is.
func encodeBlocks(services []metadata.PublicService) (blocks []*block, plainBytes int, err error) {
	for part := range cut(services) {
		each, err := newBlock(part)
		if err != nil {
			return nil, 0, err
		}
		blocks, plainBytes = append(blocks, each), plainBytes+each.plainBytes
	}
	return blocks, plainBytes, nil
}

// cut yields the parts of a list.
func cut(services []metadata.PublicService) iter.Seq[[]metadata.PublicService] {
	return func(yield func([]metadata.PublicService) bool) {
		begin, size := 0, 0
		for index := range services {
			count := index - begin
			if count >= maxBlockServices || size >= blockBytes || count > 0 && begins(services[index].Hostname) {
				if !yield(services[begin:index]) {
					return
				}
				begin, size = index, 0
			}
			size += sizeOf(services[index])
		}
		if begin < len(services) {
			yield(services[begin:])
		}
	}
}

// begins is true for a hostname that is the first of its block. It must be the same in all processes.
func begins(hostname string) bool {
	hash := fnv.New32a()
	_, _ = io.WriteString(hash, hostname)
	return hash.Sum32()%blockServices == 0
}

func newBlock(services []metadata.PublicService) (*block, error) {
	key := hashOf(services)
	if known, found := byServices.get(key); found && slices.EqualFunc(known.services, services, metadata.PublicService.Equal) {
		return known, nil
	}
	plain, err := json.Marshal(services)
	if err != nil {
		return nil, err
	}
	// A copy, for a part would keep the whole list.
	made := &block{services: slices.Clone(services), plain: plain, plainBytes: len(plain), sum: sha256.Sum256(plain)}
	byServices.add(key, made)
	return made, nil
}

// sizeOf is about how many bytes a service takes in memory.
func sizeOf(service metadata.PublicService) int {
	const header, portHeader, text = 72, 40, 16
	size := header + len(service.Hostname)
	for _, port := range service.Ports {
		size += portHeader + len(port.Name) + len(port.Protocol)
	}
	for _, account := range service.ServiceAccounts {
		size += text + len(account)
	}
	return size
}

// size is about how many bytes the block takes in memory.
func (b *block) size() int {
	size := b.plainBytes
	for _, service := range b.services {
		size += sizeOf(service)
	}
	return size
}

// hashOf is about the same as equality; the hash is this process's own.
func hashOf(services []metadata.PublicService) uint64 {
	var hash maphash.Hash
	hash.SetSeed(hashSeed)
	for _, service := range services {
		_, _ = hash.WriteString(service.Hostname)
		for _, port := range service.Ports {
			maphash.WriteComparable(&hash, port)
		}
		for _, account := range service.ServiceAccounts {
			_, _ = hash.WriteString(account)
		}
	}
	return hash.Sum64()
}

// compressed is the block as it stands in a long list.
func (b *block) compressed() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gzip == nil {
		var text bytes.Buffer
		writer := gzip.NewWriter(&text)
		// A buffer takes everything.
		_, _ = writer.Write(b.plain)
		_ = writer.Close()
		b.gzip, b.plain = text.Bytes(), nil
		byGzip.add(string(b.gzip), b)
	}
	return b.gzip
}

// elements are the block as it stands in a list that is not long: JSON, without brackets.
func (b *block) elements() ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.plain == nil {
		plain, err := json.Marshal(b.services)
		if err != nil {
			return nil, err
		}
		b.plain = plain
	}
	return b.plain[1 : len(b.plain)-1], nil
}

// join makes one JSON list of blocks of that many bytes together.
func join(blocks []*block, plainBytes int) (json.RawMessage, error) {
	list := append(make([]byte, 0, plainBytes), '[')
	for index, each := range blocks {
		elements, err := each.elements()
		if err != nil {
			return nil, err
		}
		if index > 0 {
			list = append(list, ',')
		}
		list = append(list, elements...)
	}
	return append(list, ']'), nil
}

// decodeBlocks puts the list together.
func decodeBlocks(blocks [][]byte) (services []metadata.PublicService, decoded []*block, err error) {
	plainBytes := 0
	for index, compressed := range blocks {
		each, err := readBlock(compressed)
		if err != nil {
			return nil, nil, fmt.Errorf("block %d: %w", index, err)
		}
		if plainBytes += each.plainBytes; plainBytes > maxListBytes {
			return nil, nil, fmt.Errorf("more than %d bytes", maxListBytes)
		}
		services, decoded = append(services, each.services...), append(decoded, each)
	}
	return services, decoded, nil
}

func readBlock(compressed []byte) (*block, error) {
	if known, found := byGzip.get(string(compressed)); found {
		return known, nil
	}
	reader, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(io.LimitReader(reader, maxBlockBytes+1))
	if err != nil {
		return nil, err
	}
	if len(plain) > maxBlockBytes {
		return nil, fmt.Errorf("more than %d bytes", maxBlockBytes)
	}
	read := &block{plainBytes: len(plain), sum: sha256.Sum256(plain), gzip: slices.Clone(compressed)}
	if err := json.Unmarshal(plain, &read.services); err != nil {
		return nil, err
	}
	byGzip.add(string(compressed), read)
	byServices.add(hashOf(read.services), read)
	return read, nil
}
