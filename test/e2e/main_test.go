//go:build e2e

package e2e

import (
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"k8s.io/klog/v2"

	"github.com/deckhouse-mesh/istio/lib/names"
)

const (
	// stateDirVariable names the state dir of a lab that is up. The tests use it instead of one of their own.
	stateDirVariable = "ISTIO_E2E_STATE_DIR"
	// addressVariable holds an address of the fabric that every Pod reaches. `lab exec` sets it.
	addressVariable = "LAB_ADDRESS"
)

// suite is the lab that the tests of this process share; empty outside of a fabric.
var suite struct {
	stateDir string
	// mode in which the clusters are joined.
	mode string
	// module is its name: that of its ModuleConfig.
	module string
	// clusters of the lab; a and b are the first two.
	clusters []*cluster
	a, b     *cluster
}

// TestMain has two lives. Outside it starts the labs that the chosen tests need,
// and runs itself once in the fabric of each. In a fabric it runs tests.
func TestMain(m *testing.M) {
	flag.Parse()
	code, err := enterRepository()
	switch {
	case err != nil:
	case os.Getenv(listingVariable) != "":
		code = m.Run()
	case os.Getenv(addressVariable) != "":
		code, err = runInFabric(m)
	default:
		code, err = runOutside()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

// enterRepository makes this folder of the repository the current one, wherever the program was started in it.
func enterRepository() (code int, err error) {
	dir, err := os.Getwd()
	if err != nil {
		return 1, err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return 0, os.Chdir(filepath.Join(dir, "test", "e2e"))
		}
		if dir == filepath.Dir(dir) {
			return 1, errors.New("the current folder is not in the repository: start the tests there")
		}
	}
}

// runInFabric runs the tests on the lab whose fabric this process is in.
func runInFabric(m *testing.M) (code int, err error) {
	suite.stateDir = os.Getenv(stateDirVariable)
	if suite.stateDir == "" {
		return 1, fmt.Errorf("%s is set and %s is not: name the state dir of the lab whose fabric this is", addressVariable, stateDirVariable)
	}
	described, err := readLab(suite.stateDir)
	if err != nil {
		return 1, err
	}
	if len(described.Clusters) < 2 {
		return 1, fmt.Errorf("the lab in %s has %d clusters, the tests need two at least", suite.stateDir, len(described.Clusters))
	}
	suite.mode, suite.module = described.Mode, cmp.Or(described.Module, names.Embedded)
	for _, one := range described.Clusters {
		found, err := newCluster(suite.stateDir, one.Name)
		if err != nil {
			return 1, err
		}
		suite.clusters = append(suite.clusters, found)
	}
	suite.a, suite.b = suite.clusters[0], suite.clusters[1]
	// Connections that end with a Pod are normal: client-go would log each of them.
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	defer closeForwards()
	defer func() { err = errors.Join(err, closeTraffic()) }()
	return m.Run(), nil
}

// labProgram is the lab that `make build` leaves.
func labProgram() string { return filepath.Join("..", "..", "bin", "lab") }

// lab runs bin/lab and shows what it reports.
func lab(args ...string) error {
	command := exec.Command(labProgram(), args...)
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("bin/lab %s: %w (was it built? `make build tools images`)", args[0], err)
	}
	return nil
}

// labDescription is the part of lab.json that tests rely on.
type labDescription struct {
	Mode string `json:"mode"`
	// Module is empty where the lab installs none.
	Module   string               `json:"module"`
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
	APIProxy string            `json:"apiProxy"`
	Nodes    []nodeDescription `json:"nodes"`
}

type nodeDescription struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	// PID of the node's first process, as seen from outside; 0 when the node is stopped.
	PID int `json:"pid"`
}

func readLab(stateDir string) (labDescription, error) {
	var described labDescription
	content, err := os.ReadFile(filepath.Join(stateDir, "lab.json"))
	if err == nil {
		err = json.Unmarshal(content, &described)
	}
	if err != nil {
		return described, fmt.Errorf("read what lab is in %s: %w", stateDir, err)
	}
	return described, nil
}
