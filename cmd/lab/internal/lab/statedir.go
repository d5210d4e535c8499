package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/process"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/state"
)

// markerName in a cluster's folder tells that a lab made it and may remove it.
const markerName = ".lab-cluster"

// clean removes what an earlier lab left in the state dir, processes included.
// Labs start fresh; what no lab made is not touched.
func clean(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	if err := process.KillLeftovers(ctx, dir); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, state.FileName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the description of an earlier lab: %w", err)
	}
	markers, err := filepath.Glob(filepath.Join(dir, "cluster-?", markerName))
	if err != nil {
		return fmt.Errorf("look for an earlier lab: %w", err)
	}
	for _, marker := range markers {
		if err := os.RemoveAll(filepath.Dir(marker)); err != nil {
			return fmt.Errorf("remove an earlier lab's cluster: %w", err)
		}
	}
	return nil
}

func makeClusterDir(dir string) error {
	err := os.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the folder of a cluster: %s exists and no lab made it: move it away, or use another --state-dir", dir)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, markerName), nil, 0o644)
	}
	if err != nil {
		return fmt.Errorf("make the folder of a cluster: %w", err)
	}
	return nil
}
