// Package loopback hands out loopback addresses. Linux accepts every address
// in 127.0.0.0/8 without configuration, so each cluster of each lab gets a /24
// of its own and can use well-known ports and one address per Pod.
package loopback

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
)

const (
	// claimHost and claimPort are where the owner of a block listens for as
	// long as the block is in use: the kernel then refuses it to anyone else.
	claimHost = 254
	claimPort = 65001

	claimAttempts = 50
)

// Block is one 127.A.B.0/24 that belongs to this process until it is released.
type Block struct {
	prefix [3]byte
	claim  net.Listener
}

// Claim reserves a random free block. Two processes never hold the same one.
func Claim() (*Block, error) {
	var last error
	for range claimAttempts {
		a, b := byte(1+rand.IntN(253)), byte(rand.IntN(255)) //nolint:gosec // spread over the blocks is all that is wanted
		block := &Block{prefix: [3]byte{127, a, b}}
		claim, err := net.Listen("tcp", net.JoinHostPort(block.Address(claimHost).String(), strconv.Itoa(claimPort)))
		if err != nil {
			last = err
			continue
		}
		block.claim = claim
		return block, nil
	}
	return nil, fmt.Errorf("claim a free 127.x.y.0/24 block, %d tried: %w", claimAttempts, last)
}

// Address is the block's address with that last byte.
func (b *Block) Address(host byte) netip.Addr {
	return netip.AddrFrom4([4]byte{b.prefix[0], b.prefix[1], b.prefix[2], host})
}

// Release gives the block back.
func (b *Block) Release() error {
	if err := b.claim.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("release %s/24: %w", b.Address(0), err)
	}
	return nil
}

// Port finds a free TCP port on the address: the preferred one when nothing
// listens there (on this or on the wildcard address), else any.
func Port(address netip.Addr, preferred int) (int, error) {
	for _, port := range []int{preferred, 0} {
		listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: address.AsSlice(), Port: port})
		if err != nil {
			if port == 0 {
				return 0, fmt.Errorf("find a free port on %s: %w", address, err)
			}
			continue
		}
		free := netip.MustParseAddrPort(listener.Addr().String()).Port()
		if err := listener.Close(); err != nil {
			return 0, fmt.Errorf("find a free port on %s: %w", address, err)
		}
		return int(free), nil
	}
	return 0, fmt.Errorf("find a free port on %s: none", address)
}
