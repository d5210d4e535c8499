package podnet

import (
	"errors"
	"net/netip"
	"testing"
)

func newNetwork() *Network {
	return New(netip.MustParsePrefix("10.100.0.0/16"), func(host byte) netip.Addr {
		return netip.AddrFrom4([4]byte{127, 7, 8, host})
	})
}

func TestAShownAddressLeadsToTheRealOne(t *testing.T) {
	network := newNetwork()
	address, err := network.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	if address.Shown.IsLoopback() || !address.Real.IsLoopback() {
		t.Fatalf("address %+v: the real one alone must be loopback", address)
	}
	if got, err := network.Real(address.Shown); err != nil || got != address.Real {
		t.Fatalf("Real(%s) = %s, %v, want %s", address.Shown, got, err, address.Real)
	}
	for _, foreign := range []string{"10.101.0.10", "10.100.1.10", "10.100.0.1", "10.100.0.254", "::1"} {
		if got, err := network.Real(netip.MustParseAddr(foreign)); err == nil {
			t.Errorf("Real(%s) = %s, want an error", foreign, got)
		}
	}
}

func TestAddressesAreUniqueAndAReleasedOneIsReusedLast(t *testing.T) {
	network := newNetwork()
	seen := map[netip.Addr]bool{}
	var released Address
	for i := range last - first + 1 {
		address, err := network.Allocate()
		if err != nil {
			t.Fatal(err)
		}
		if seen[address.Real] {
			t.Fatalf("%s was given twice", address.Real)
		}
		seen[address.Real] = true
		if i == 0 {
			released = address
		}
	}
	if _, err := network.Allocate(); !errors.Is(err, ErrExhausted) {
		t.Fatalf("a full network answers %v", err)
	}
	network.Release(released)
	if again, err := network.Allocate(); err != nil || again != released {
		t.Fatalf("after release: %+v, %v, want %+v", again, err, released)
	}
}
