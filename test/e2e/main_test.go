//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const stateDirVariable = "ISTIO_E2E_STATE_DIR"

// suite is the lab that the tests share.
var suite struct {
	stateDir string
	a, b     *cluster
}

func TestMain(m *testing.M) {
	code, err := runSuite(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func runSuite(m *testing.M) (code int, err error) {
	suite.stateDir = os.Getenv(stateDirVariable)
	if suite.stateDir == "" {
		if suite.stateDir, err = os.MkdirTemp("", "istio-e2e-"); err != nil {
			return 1, err
		}
		if err := lab("up", "--clusters", "2", "--state-dir", suite.stateDir, "--detach"); err != nil {
			return 1, fmt.Errorf("start the lab, whose logs are in %s: %w", suite.stateDir, err)
		}
		defer func() {
			if stopped := lab("down", "--state-dir", suite.stateDir); stopped != nil {
				code, err = 1, stopped
			}
			if code == 0 {
				_ = os.RemoveAll(suite.stateDir)
				return
			}
			fmt.Fprintln(os.Stderr, "e2e: the lab's logs are kept in", suite.stateDir)
		}()
	}
	defer func() {
		started.mu.Lock()
		defer started.mu.Unlock()
		if stopped := stopMeshLab(code != 0); stopped != nil {
			code, err = 1, stopped
		}
	}()
	described, err := readLab(suite.stateDir)
	if err != nil {
		return 1, err
	}
	if len(described.Clusters) < 2 {
		return 1, fmt.Errorf("the lab in %s has %d clusters, the tests need two", suite.stateDir, len(described.Clusters))
	}
	if suite.a, err = newCluster(suite.stateDir, described.Clusters[0].Name); err != nil {
		return 1, err
	}
	if suite.b, err = newCluster(suite.stateDir, described.Clusters[1].Name); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// labProgram is the lab that `make build` leaves.
func labProgram() string { return filepath.Join("..", "..", "bin", "lab") }

// lab runs bin/lab and shows what it says.
func lab(args ...string) error {
	command := exec.Command(labProgram(), args...)
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("bin/lab %s: %w (was it built? `make build tools`)", args[0], err)
	}
	return nil
}

// labDescription is the part of lab.json that tests rely on.
type labDescription struct {
	Mode     string               `json:"mode"`
	Clusters []clusterDescription `json:"clusters"`
}

type clusterDescription struct {
	Name             string `json:"name"`
	ClusterDomain    string `json:"clusterDomain"`
	ClusterUUID      string `json:"clusterUUID"`
	APIServer        string `json:"apiServer"`
	MetadataEndpoint string `json:"metadataEndpoint"`
	MetadataCA       string `json:"metadataCA"`
	// APIProxy is empty unless the cluster is part of a mesh of several.
	APIProxy string `json:"apiProxy"`
	// Istiod of each installed revision.
	Istiod map[string]struct {
		XDS   string `json:"xds"`
		Debug string `json:"debug"`
	} `json:"istiod"`
	Processes []struct {
		Name string `json:"name"`
		PID  int    `json:"pid"`
		Log  string `json:"log"`
	} `json:"processes"`
}

func readLab(stateDir string) (labDescription, error) {
	var described labDescription
	content, err := os.ReadFile(filepath.Join(stateDir, "lab.json"))
	if err == nil {
		err = json.Unmarshal(content, &described)
	}
	return described, err
}
