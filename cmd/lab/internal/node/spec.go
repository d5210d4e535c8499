// Package node runs a machine of a cluster as a set of Linux namespaces. Its
// first process dies with the lab, and with it every process, mount and
// interface of the node.
//
// A node has the file system of the person's machine, except for what differs from
// machine to machine: /var is a folder of the node's own that outlives a power
// cut, /run and /tmp are empty when it starts, and what is written to /etc stays
// in memory. So programs have their usual places, and nothing that they write
// reaches the machine that they run on.
package node

import (
	"path/filepath"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/cgroup"
)

const (
	// BinDir is where a node has the programs that were built for it.
	BinDir = "/run/lab/bin"
	// LogDir is where a node's programs log.
	LogDir = "/var/log"
	// ownLog of the first process, in LogDir.
	ownLog = "node.log"
)

// Spec says what a node is to be.
type Spec struct {
	Name string `json:"name"`
	// Var is the folder outside that is the node's /var.
	Var string `json:"var"`
	// Binaries are the files outside that the node has in BinDir, by their names there.
	Binaries map[string]string `json:"binaries"`
	// Files of the node, by their paths; below /etc or /run, since they are lost with the node.
	Files map[string]string `json:"files"`
	// Rules of nftables.
	Rules string `json:"rules"`
	// Programs to run, each started again whenever it ends.
	Programs []Program `json:"programs"`
	// Groups are the machine's control groups, Folders the node's in each hierarchy.
	Groups  *cgroup.Layout `json:"groups"`
	Folders []string       `json:"folders"`
}

// Program of a node. Its log is Name.log in LogDir.
type Program struct {
	Name string   `json:"name"`
	Args []string `json:"args"`
	// After is what must accept connections before the program is first started,
	// as in "tcp:127.0.0.1:2379" or "unix:/run/containerd/containerd.sock".
	After string `json:"after,omitempty"`
}

// Log is the file outside that a program of the node logs to.
func (s *Spec) Log(program string) string {
	return filepath.Join(s.LogFolder(), program+".log")
}

// LogFolder is the folder outside of the node's logs.
func (s *Spec) LogFolder() string { return filepath.Join(s.Var, "log") }

// kernelSettings that kubelet wants, and that a kernel has once, not for each
// namespace. A node has files of its own in their place, which hold what kubelet
// wants: so it is content, and the person's machine stays as it was.
var kernelSettings = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}
