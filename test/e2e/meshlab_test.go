//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

// Modes of labs with a mesh of several clusters, each with as many clusters as its tests need.
const (
	// multiclusterMode has three clusters of one mesh.
	multiclusterMode = "multicluster"
	// mixedMode has two clusters of one mesh, and a third one that is federated with the first.
	mixedMode = "mixed"

	meshLabSize = 3
)

var multiclusters = schema.GroupVersionResource{Group: v1alpha1.Group, Version: v1alpha1.Version, Resource: v1alpha1.IstioMulticlusterResource}

// meshLab is a lab in which clusters are one mesh.
type meshLab struct {
	mode, stateDir string
	clusters       []*cluster
	// own is whether the tests started it.
	own bool
}

// started is the lab that runs beside the suite's; one at a time, for a machine of two cores.
var started struct {
	mu  sync.Mutex
	lab *meshLab
}

// meshed is the lab of that mode, which is started by the first test that asks for it and kept for the next ones.
// Every test finds its clusters joined and must leave them so.
func meshed(t *testing.T, mode string) *meshLab {
	t.Helper()
	started.mu.Lock()
	defer started.mu.Unlock()
	if started.lab == nil || started.lab.mode != mode {
		if err := stopMeshLab(false); err != nil {
			t.Fatal(err)
		}
		opened, err := openMeshLab(mode)
		if err != nil {
			t.Fatal(err)
		}
		started.lab = opened
	}
	started.lab.awaitJoined(t)
	return started.lab
}

// openMeshLab takes the suite's lab when that is of the mode (ISTIO_E2E_STATE_DIR), else it starts one.
func openMeshLab(mode string) (*meshLab, error) {
	opened := &meshLab{mode: mode, stateDir: suite.stateDir}
	described, err := readLab(suite.stateDir)
	if err != nil {
		return nil, err
	}
	if described.Mode != mode {
		opened.own = true
		if opened.stateDir, err = os.MkdirTemp("", "istio-e2e-"+mode+"-"); err != nil {
			return nil, err
		}
		err := lab("up", "--clusters", strconv.Itoa(meshLabSize), "--mode", mode, "--state-dir", opened.stateDir, "--detach")
		if err != nil {
			return nil, fmt.Errorf("start the lab of mode %s, whose logs are in %s: %w", mode, opened.stateDir, err)
		}
		if described, err = readLab(opened.stateDir); err != nil {
			return nil, err
		}
	}
	if len(described.Clusters) < meshLabSize {
		return nil, fmt.Errorf("the lab in %s has %d clusters, the tests need %d", opened.stateDir, len(described.Clusters), meshLabSize)
	}
	for _, found := range described.Clusters {
		one, err := newCluster(opened.stateDir, found.Name)
		if err != nil {
			return nil, err
		}
		opened.clusters = append(opened.clusters, one)
	}
	return opened, nil
}

// stopMeshLab stops what the tests started; its logs are kept on demand.
func stopMeshLab(keepLogs bool) error {
	stopped := started.lab
	if started.lab = nil; stopped == nil || !stopped.own {
		return nil
	}
	if err := lab("down", "--state-dir", stopped.stateDir); err != nil {
		return err
	}
	if keepLogs {
		fmt.Fprintf(os.Stderr, "e2e: the logs of the lab of mode %s are kept in %s\n", stopped.mode, stopped.stateDir)
		return nil
	}
	return os.RemoveAll(stopped.stateDir)
}

// awaitJoined waits until every cluster says that it and each other work together, and has read those of its mesh.
func (l *meshLab) awaitJoined(t *testing.T) {
	t.Helper()
	for i, c := range l.clusters {
		for j, peer := range l.clusters {
			switch {
			case i == j:
			case c.isMeshedWith(t, peer):
				c.awaitMeshed(t, peer)
			case i == 0 || j == 0:
				c.awaitReady(t, peer.name, scheduled)
			}
		}
	}
}

// isMeshedWith tells whether the clusters have the same domain, and so are joined to one mesh.
func (c *cluster) isMeshedWith(t *testing.T, peer *cluster) bool {
	t.Helper()
	return c.described(t).ClusterDomain == peer.described(t).ClusterDomain
}

// awaitMeshed waits until the peer is part of the cluster's mesh and every istiod of the cluster has read it.
func (c *cluster) awaitMeshed(t *testing.T, peer *cluster) {
	t.Helper()
	eventually(t, scheduled, c.name+" is in one mesh with "+peer.name, func() string {
		if status, reason, message := c.conditionOf(multiclusters, peer.name, "Ready"); status != "True" {
			return fmt.Sprintf("Ready=%s %s: %s", status, reason, message)
		}
		return c.unread(t, peer)
	})
}

// unread tells which istiod has not read the peer, "" when all have.
func (c *cluster) unread(t *testing.T, peer *cluster) (missing string) {
	t.Helper()
	istiods := c.described(t).Istiod
	if len(istiods) == 0 {
		return "lab.json has no istiod of " + c.name
	}
	for _, revision := range slices.Sorted(maps.Keys(istiods)) {
		if status, err := remoteCluster(istiods[revision].Debug, peer.name); err != nil || status != "synced" {
			return fmt.Sprintf("istiod %s of %s says that %s is %q (%v)", revision, c.name, peer.name, status, err)
		}
	}
	return ""
}

// remoteCluster is the state of the remote cluster as `istioctl remote-clusters` shows it, "" when istiod does not know it.
func remoteCluster(debug, name string) (status string, err error) {
	client := http.Client{Timeout: prompt}
	response, err := client.Get(debug + "/debug/clusterz")
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return "", errors.New(response.Status)
	}
	var clusters []struct {
		ID         string `json:"id"`
		SyncStatus string `json:"syncStatus"`
	}
	if err := json.NewDecoder(response.Body).Decode(&clusters); err != nil {
		return "", err
	}
	for _, found := range clusters {
		if found.ID == name {
			return found.SyncStatus, nil
		}
	}
	return "", nil
}

// network of the lab's cluster is cut, or whole again.
func (l *meshLab) network(t *testing.T, verb string, of *cluster) {
	t.Helper()
	if err := lab("network", verb, "--cluster", of.name, "--state-dir", l.stateDir); err != nil {
		t.Fatal(err)
	}
}

// cut the cluster off from the others, and when the test is over, if not before, end that.
func (l *meshLab) cut(t *testing.T, of *cluster) (restore func()) {
	t.Helper()
	l.network(t, "cut", of)
	restore = func() { l.network(t, "restore", of) }
	t.Cleanup(func() {
		restore()
		l.awaitJoined(t)
	})
	return restore
}
