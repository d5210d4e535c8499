//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

var multiclusters = schema.GroupVersionResource{Group: v1alpha1.Group, Version: v1alpha1.Version, Resource: v1alpha1.IstioMulticlusterResource}

// meshLab is the lab that this process runs in: a and b are one mesh, and
// stranger is federated with a.
type meshLab struct{ a, b, stranger *cluster }

// meshOf is the lab of mode mixed, with its clusters as peers; every test must
// leave them so. Clusters of the mesh enter each other by gateways, though
// their Pod ranges are routed.
func meshOf(t *testing.T) *meshLab {
	t.Helper()
	if suite.mode != mixedMode || len(suite.clusters) < mixedLab.clusters {
		t.Fatalf("this lab has %d clusters of mode %q, the test needs %d of mode %s", len(suite.clusters), suite.mode, mixedLab.clusters, mixedMode)
	}
	l := &meshLab{suite.clusters[0], suite.clusters[1], suite.clusters[2]}
	l.a.enter(t, l.b, true)
	l.b.enter(t, l.a, true)
	l.awaitPeers(t)
	return l
}

// awaitPeers waits until every cluster says that it and each peer work together, and has read that of its mesh.
func (l *meshLab) awaitPeers(t *testing.T) {
	t.Helper()
	l.a.awaitInMesh(t, l.b)
	l.b.awaitInMesh(t, l.a)
	l.a.awaitReady(t, l.stranger.name, scheduled)
	l.stranger.awaitReady(t, l.a.name, scheduled)
}

// awaitInMesh waits until the peer is part of the cluster's mesh and every istiod of the cluster has read it.
func (c *cluster) awaitInMesh(t *testing.T, peer *cluster) {
	t.Helper()
	eventually(t, scheduled, c.name+" is in one mesh with "+peer.name, func() string {
		if status, reason, message := c.conditionOf(multiclusters, peer.name, "Ready"); status != "True" {
			return fmt.Sprintf("Ready=%s %s: %s", status, reason, message)
		}
		return c.unread(peer)
	})
}

// unread says which istiod has not read the peer, "" when all have.
func (c *cluster) unread(peer *cluster) (missing string) {
	versions := c.installedVersions()
	if len(versions) == 0 {
		return "no istiod of " + c.name + " is ready"
	}
	for _, version := range versions {
		if status, err := c.remoteCluster(istiodOf(version), peer.name); err != nil || status != "synced" {
			return fmt.Sprintf("%s of %s reports that %s is %q (%v)", istiodOf(version), c.name, peer.name, status, err)
		}
	}
	return ""
}

// remoteCluster is its state as `istioctl remote-clusters` shows it, "" when the istiod does not know it.
func (c *cluster) remoteCluster(istiod component, name string) (status string, err error) {
	address, err := c.tryAddress(istiod, debugPort)
	if err != nil {
		return "", err
	}
	client := http.Client{Timeout: prompt}
	defer client.CloseIdleConnections()
	response, err := client.Get("http://" + address + "/debug/clusterz")
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

// cut the link between the two clusters of the mesh, and mend it when the test ends, if not before.
func (l *meshLab) cut(t *testing.T) (mend func()) {
	t.Helper()
	t.Cleanup(func() { l.awaitPeers(t) })
	return cutLink(t, l.a, l.b)
}

// cutLink between two clusters until mend is called, or the test ends.
func cutLink(t *testing.T, one, other *cluster) (mend func()) {
	t.Helper()
	link := func(verb string) error { return lab("link", verb, "--state-dir", suite.stateDir, one.name, other.name) }
	if err := link("cut"); err != nil {
		t.Fatal(err)
	}
	whole := false
	mend = func() {
		if whole {
			return
		}
		whole = true
		if err := link("mend"); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(mend)
	return mend
}
