package lab

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/labtest"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/state"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/wan"
)

func TestAPersonCutsAndRestoresTheNetworkOfACluster(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "cluster-a"), 0o755); err != nil {
		t.Fatal(err)
	}
	file := state.NewFile(dir, state.Lab{Clusters: []state.Cluster{{Name: "cluster-a"}}})
	if err := file.Update(func(*state.Lab) {}); err != nil {
		t.Fatal(err)
	}
	link := &wan.Link{}
	c := &cluster{dir: filepath.Join(dir, "cluster-a"), link: link}
	c.changed = func() {
		err := file.UpdateCluster("cluster-a", func(described *state.Cluster) { described.NetworkCut = link.IsCut() })
		if err != nil {
			t.Error(err)
		}
	}
	labtest.Run(t, func(ctx context.Context) error { return c.followCut(ctx) })
	for _, cut := range []bool{true, true, false, false} {
		if err := SetCut(t.Context(), dir, "cluster-a", cut); err != nil {
			t.Fatal(err)
		}
		if link.IsCut() != cut {
			t.Errorf("the link is cut: %t, want %t", !cut, cut)
		}
	}
	if err := SetCut(t.Context(), dir, "cluster-b", true); err == nil || !strings.Contains(err.Error(), `no cluster "cluster-b"`) {
		t.Errorf("a cluster that does not exist: %v", err)
	}
}
