package testbed

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/state"
)

// markerName in a cluster's folder says that a lab made it and may remove it.
const markerName = ".lab-cluster"

// clean removes what an earlier lab left in the state dir. Labs start fresh;
// what no lab made is not touched.
func clean(dir string) error {
	for _, file := range []string{state.FileName, controlName} {
		if err := os.Remove(filepath.Join(dir, file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove what an earlier lab left: %w", err)
		}
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

// removeNodesData removes the images, volumes and databases of nodes that have
// ended: more than a gigabyte a cluster. Their logs and kubeconfigs stay.
func removeNodesData(dir string) error {
	markers, err := filepath.Glob(filepath.Join(dir, "cluster-?", markerName))
	if err != nil {
		return fmt.Errorf("look for the nodes' data: %w", err)
	}
	for _, marker := range markers {
		folders, err := filepath.Glob(filepath.Join(filepath.Dir(marker), "nodes", "*", "var", "lib"))
		if err != nil {
			return fmt.Errorf("look for the nodes' data: %w", err)
		}
		for _, folder := range folders {
			if err := os.RemoveAll(folder); err != nil {
				return fmt.Errorf("remove a node's data: %w", err)
			}
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
