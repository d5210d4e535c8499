// Package podnet gives Pods their addresses. A Pod has two: the one its status
// shows, from the cluster's Pod range, because the API refuses loopback
// addresses in EndpointSlices; and the loopback address its processes really
// listen on. Both end in the same byte, so each can be told from the other.
package podnet

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
)

// Pods get the addresses from first to last; those below are the cluster's own
// (control plane, fronts), those above are kept for claims on the block.
const (
	first = 10
	last  = 250
)

// ErrExhausted says that all addresses are in use.
var ErrExhausted = errors.New("no Pod address is free: a lab cluster runs 241 Pods at most")

// Address of one Pod.
type Address struct {
	// Shown is in the Pod's status.
	Shown netip.Addr
	// Real is what the Pod's processes listen on.
	Real netip.Addr
}

// Network is the addresses of one cluster's Pods.
type Network struct {
	subnet   netip.Prefix
	loopback func(host byte) netip.Addr

	mu   sync.Mutex
	next byte
	used map[byte]bool
}

// New makes the network of a Pod range (IPv4, /24 or wider) over a block of loopback addresses.
func New(subnet netip.Prefix, loopback func(host byte) netip.Addr) *Network {
	return &Network{subnet: subnet.Masked(), loopback: loopback, next: first, used: map[byte]bool{}}
}

// Allocate takes the free address that has been unused for longest, so that a
// client that still knows an old Pod does not reach a new one.
func (n *Network) Allocate() (Address, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for range last - first + 1 {
		host := n.next
		if n.next++; n.next > last {
			n.next = first
		}
		if !n.used[host] {
			n.used[host] = true
			return Address{Shown: n.shown(host), Real: n.loopback(host)}, nil
		}
	}
	return Address{}, ErrExhausted
}

// Release gives an address back.
func (n *Network) Release(address Address) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.used, address.Shown.As4()[3])
}

// Real is the loopback address of the Pod whose status shows the other.
func (n *Network) Real(shown netip.Addr) (netip.Addr, error) {
	if !shown.Is4() || !n.subnet.Contains(shown) {
		return netip.Addr{}, fmt.Errorf("%s is not in the Pod range %s", shown, n.subnet)
	}
	host := shown.As4()[3]
	if shown != n.shown(host) || host < first || host > last {
		return netip.Addr{}, fmt.Errorf("%s was never given to a Pod", shown)
	}
	return n.loopback(host), nil
}

func (n *Network) shown(host byte) netip.Addr {
	bytes := n.subnet.Addr().As4()
	bytes[3] = host
	return netip.AddrFrom4(bytes)
}
