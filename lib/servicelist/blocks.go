package servicelist

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
// much is written, compressed and decompressed. Hostnames decide where it is cut,
// positions do not: a service that is added or removed changes its own block alone.
const (
	// blockServices is how many services a block has on average where they are small,
	// and maxBlockServices how many at most: a peer chooses its hostnames.
	blockServices    = 128
	maxBlockServices = 1024
	// blockBytes is the size from which on a block gets no further service.
	blockBytes = 256 << 10
	// maxBlockBytes bounds what a block may become in memory, and maxListBytes all blocks of a list.
	maxBlockBytes = 1 << 20
	maxListBytes  = 64 << 20
)

// block is a part of a list. Use Codec.block and Codec.readBlock.
type block struct {
	services []metadata.PublicService
	// plainBytes is the size of the block as JSON, sum the hash of that.
	plainBytes int
	sum        [sha256.Size]byte

	mu sync.Mutex
	// plain is the block as JSON, gzip that compressed: exactly one of them is set.
	plain, gzip []byte
}

// hashSeed keeps peers from choosing lists whose hashes collide; lists are compared besides.
var hashSeed = maphash.MakeSeed()

// cut divides the list into blocks, and returns how many bytes of JSON it is.
func (c *Codec) cut(services []metadata.PublicService) (blocks []*block, plainBytes int, err error) {
	for part := range parts(services) {
		each, err := c.block(part)
		if err != nil {
			return nil, 0, err
		}
		blocks, plainBytes = append(blocks, each), plainBytes+each.plainBytes
	}
	return blocks, plainBytes, nil
}

// parts yields the parts of a list.
func parts(services []metadata.PublicService) iter.Seq[[]metadata.PublicService] {
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

func (c *Codec) block(services []metadata.PublicService) (*block, error) {
	if c == nil {
		return newBlock(services)
	}
	key := hashOf(services)
	if known, found := c.byServices.get(key); found && slices.EqualFunc(known.services, services, metadata.PublicService.Equal) {
		return known, nil
	}
	made, err := newBlock(services)
	if err == nil {
		c.byServices.add(key, made)
	}
	return made, err
}

func newBlock(services []metadata.PublicService) (*block, error) {
	plain, err := json.Marshal(services)
	if err != nil {
		return nil, err
	}
	// A copy, for a part would retain the whole list.
	return &block{services: slices.Clone(services), plain: plain, plainBytes: len(plain), sum: sha256.Sum256(plain)}, nil
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

// compressed is the block as it is written in a long list.
func (c *Codec) compressed(b *block) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gzip == nil {
		var text bytes.Buffer
		writer := gzip.NewWriter(&text)
		// Writing to a buffer never fails.
		_, _ = writer.Write(b.plain)
		_ = writer.Close()
		b.gzip, b.plain = text.Bytes(), nil
		if c != nil {
			c.byGzip.add(string(b.gzip), b)
		}
	}
	return b.gzip
}

// decode puts the list together.
func (c *Codec) decode(compressed [][]byte) (services []metadata.PublicService, blocks []*block, err error) {
	plainBytes := 0
	for index, text := range compressed {
		each, err := c.readBlock(text)
		if err != nil {
			return nil, nil, fmt.Errorf("block %d: %w", index, err)
		}
		if plainBytes += each.plainBytes; plainBytes > maxListBytes {
			return nil, nil, fmt.Errorf("more than %d bytes", maxListBytes)
		}
		services, blocks = append(services, each.services...), append(blocks, each)
	}
	return services, blocks, nil
}

func (c *Codec) readBlock(compressed []byte) (*block, error) {
	if c == nil {
		return decompress(compressed)
	}
	if known, found := c.byGzip.get(string(compressed)); found {
		return known, nil
	}
	read, err := decompress(compressed)
	if err == nil {
		c.byGzip.add(string(compressed), read)
		c.byServices.add(hashOf(read.services), read)
	}
	return read, err
}

func decompress(compressed []byte) (*block, error) {
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
	return read, nil
}
