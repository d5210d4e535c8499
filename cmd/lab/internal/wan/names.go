package wan

import (
	"net/netip"
	"sync"
)

// Names are the public names of all clusters of a lab, what DNS would know.
type Names struct {
	mu     sync.Mutex
	byName map[string]netip.AddrPort
}

// Set makes the name, at the port of HTTPS, lead to the address.
func (n *Names) Set(name string, address netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.byName == nil {
		n.byName = map[string]netip.AddrPort{}
	}
	n.byName[name] = address
}

func (n *Names) lookUp(name string) (address netip.AddrPort, found bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	address, found = n.byName[name]
	return address, found
}
