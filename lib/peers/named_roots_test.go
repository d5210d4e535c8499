package peers_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/peers"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

// reread is the memory after a restart.
func reread(t *testing.T, named peers.NamedRoots) peers.NamedRoots {
	t.Helper()
	encoded, err := named.Encode()
	if err != nil {
		t.Fatal(err)
	}
	read, err := peers.ParseNamedRoots(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return read
}

func TestARootThatTwoEverNamedIsSharedForEver(t *testing.T) {
	b, c := peerstest.NewPeer(t, "b").Entry(multiclusterKind), peerstest.NewPeer(t, "c").Entry(multiclusterKind)
	named, err := peers.ParseNamedRoots(nil)
	if err != nil {
		t.Fatal(err)
	}
	named.Name(b.Owner(), b.RootCA)
	named = reread(t, named)
	if got := named.Shared(b.Owner(), b.RootCA); len(got) != 0 {
		t.Errorf("b's own root is shared: %v", got)
	}
	named.Name(c.Owner(), c.RootCA+b.RootCA)
	for range 2 {
		named.Name(b.Owner(), b.RootCA)
		named = reread(t, named)
	}
	if got := named.Shared(b.Owner(), b.RootCA); len(got) != 1 {
		t.Errorf("the root that c named, too, is b's alone: %v", got)
	}
	if got := named.Shared(c.Owner(), c.RootCA+b.RootCA); len(got) != 1 {
		t.Errorf("c shares %v", got)
	}
	named.Name("d", "no certificate")
	if got := named.Shared("d", "no certificate"); len(got) != 0 {
		t.Errorf("text that is no certificate is shared: %v", got)
	}
	if _, err := peers.ParseNamedRoots([]byte("[")); err == nil {
		t.Error("rubbish was read")
	}
}

func TestAPeerThatChangesItsRootsForEverFillsOnlyItsOwnShare(t *testing.T) {
	named := peers.NamedRoots{}
	root := func(number int) string { return certtest.NewRoot(fmt.Sprint("root ", number), time.Now()).PEM() }
	for number := range 300 {
		named.Name("restless", root(number))
	}
	if len(named) != 256 {
		t.Errorf("%d roots are remembered", len(named))
	}
	next := root(300)
	named.Name("restless", next)
	if len(named.Shared("restless", next)) != 1 {
		t.Error("a root that found no room is proof of its peer")
	}
	named.Name("honest", next)
	if len(named.Shared("honest", next)) != 0 {
		t.Error("an honest peer finds no room")
	}
}
