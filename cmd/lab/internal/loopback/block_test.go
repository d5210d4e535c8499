package loopback

import (
	"net"
	"net/netip"
	"testing"
)

func TestABlockThatIsHeldIsRefusedToOthersUntilReleased(t *testing.T) {
	block, err := Claim()
	if err != nil {
		t.Fatal(err)
	}
	claim := block.claim.Addr().String()
	if other, err := net.Listen("tcp", claim); err == nil {
		_ = other.Close()
		t.Fatalf("%s could be claimed twice", claim)
	}
	if err := block.Release(); err != nil {
		t.Fatal(err)
	}
	again, err := net.Listen("tcp", claim)
	if err != nil {
		t.Fatalf("a released block stays taken: %v", err)
	}
	_ = again.Close()
}

func TestAddressesOfABlockAreLoopbackAndShareTheirPrefix(t *testing.T) {
	block, err := Claim()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = block.Release() }()
	prefix := netip.PrefixFrom(block.Address(0), 24)
	for _, host := range []byte{1, 2, 10, 250} {
		address := block.Address(host)
		if !address.IsLoopback() || !prefix.Contains(address) || address.As4()[3] != host {
			t.Errorf("Address(%d) = %s, want a loopback address of %s", host, address, prefix)
		}
	}
}

func TestAPortThatIsTakenIsReplacedByAFreeOne(t *testing.T) {
	address := netip.MustParseAddr("127.0.0.1")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	busy := taken.Addr().(*net.TCPAddr).Port
	port, err := Port(address, busy)
	if err != nil {
		t.Fatal(err)
	}
	if port == busy || port == 0 {
		t.Fatalf("Port preferred %d, which is taken, and returned %d", busy, port)
	}
}
