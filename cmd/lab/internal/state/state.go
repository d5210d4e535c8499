// Package state is what a lab writes down for others: DIR/lab.json, where
// tests and people find its clusters, and the lock by which a lab owns DIR.
package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// FileName of the description in a state dir.
const FileName = "lab.json"

// Lab is the content of lab.json.
type Lab struct {
	// Mode the clusters are joined in.
	Mode string `json:"mode"`
	// PID of the lab itself.
	PID int `json:"pid"`
	// Ready is set once every cluster is up and joined.
	Ready    bool      `json:"ready"`
	Clusters []Cluster `json:"clusters"`
	// Module is the name of the clusters' module: that of its ModuleConfig.
	Module string `json:"module,omitempty"`
	// WithoutModule says that the clusters have no module, and are not joined.
	WithoutModule bool `json:"withoutModule,omitempty"`
	// Fabric is where the network between the clusters is; absent until it exists.
	Fabric *Fabric `json:"fabric,omitempty"`
}

// Cluster is where to find one cluster and its parts.
type Cluster struct {
	Name          string `json:"name"`
	ClusterDomain string `json:"clusterDomain"`
	// ClusterUUID is empty until the module has given the cluster one.
	ClusterUUID string `json:"clusterUUID"`
	APIServer   string `json:"apiServer"`
	Kubeconfig  string `json:"kubeconfig"`
	// MetadataEndpoint is what peers call; MetadataCA is the PEM file its certificate verifies with.
	MetadataEndpoint string `json:"metadataEndpoint"`
	MetadataCA       string `json:"metadataCA"`
	// APIProxy is the URL of the cluster's API as peers see it, whose certificate verifies with
	// MetadataCA too; empty unless the cluster is part of a multicluster.
	APIProxy string `json:"apiProxy,omitempty"`
	// PodSubnet and ServiceSubnet are the cluster's ranges.
	PodSubnet     string `json:"podSubnet,omitempty"`
	ServiceSubnet string `json:"serviceSubnet,omitempty"`
	Nodes         []Node `json:"nodes,omitempty"`
}

// Node of a cluster.
type Node struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	// PID of its first process, as the person's shell sees it; 0 when the node is stopped.
	PID int `json:"pid"`
	// Logs is the folder of its programs' logs.
	Logs string `json:"logs"`
}

// Fabric is the network between the clusters.
type Fabric struct {
	// Address of the fabric itself.
	Address string `json:"address"`
	// Network is the path by which its network namespace can be entered while the lab runs.
	Network string `json:"network"`
	// Cuts are the links between clusters that are cut.
	Cuts [][2]string `json:"cuts,omitempty"`
}

// Read reads the description in a state dir. The error says what to do when there is none.
func Read(dir string) (*Lab, error) {
	file := filepath.Join(dir, FileName)
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no lab has been started with --state-dir %s: start one with `lab up`", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("read the description of the lab: %w", err)
	}
	lab := &Lab{}
	if err := json.Unmarshal(content, lab); err != nil {
		return nil, fmt.Errorf("read the description of the lab %s: %w", file, err)
	}
	return lab, nil
}

// File is lab.json while the lab runs.
type File struct {
	dir string

	mu  sync.Mutex
	lab Lab
	// written is the content on disk: equal content is not written again.
	written []byte
}

// NewFile is the description in the state dir; nothing is written yet.
func NewFile(dir string) *File { return &File{dir: dir} }

// Replace the description and, when that makes a difference, lab.json, atomically.
func (f *File) Replace(lab Lab) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lab = lab
	content, err := json.MarshalIndent(lab, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the description of the lab: %w", err)
	}
	if slices.Equal(content, f.written) {
		return nil
	}
	if err := WriteFile(filepath.Join(f.dir, FileName), append(content, '\n'), 0o644); err != nil {
		return err
	}
	f.written = content
	return nil
}

// Lab is the description, which nobody may change.
func (f *File) Lab() Lab {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lab
}

// WriteFile replaces a file atomically: a reader sees the old content or the new.
func WriteFile(file string, content []byte, mode fs.FileMode) error {
	temporary, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	_, err = temporary.Write(content)
	err = errors.Join(err, temporary.Chmod(mode), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), file)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}
