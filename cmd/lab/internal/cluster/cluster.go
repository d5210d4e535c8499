// Package cluster runs a Kubernetes cluster on nodes of the lab: its control
// plane's programs and flags, its credentials, its nodes, and the addresses that
// a cloud would give to Services of type LoadBalancer.
package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/cgroup"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/fabric"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/node"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/pki"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/plan"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/process"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/progress"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/state"
)

// Options of a cluster.
type Options struct {
	Plan *plan.Cluster
	// Dir is the cluster's folder: its kubeconfig, and a folder for each node.
	Dir    string
	Fabric *fabric.Fabric
	Group  *process.Group
	Groups *cgroup.Tree
	// Binaries are the programs that nodes have, by their names.
	Binaries map[string]string
	Reporter *progress.Reporter
	// Changed is called when a node has started or ended; it must not block.
	Changed func()
}

// Cluster that runs.
type Cluster struct {
	options     Options
	authorities *authorities
	// api is where the person's shell and the fabric reach the API server.
	api     netip.AddrPort
	clients *kube.Clients

	nodes []*member
}

// New prepares a cluster: its credentials and its kubeconfig, and the port at
// which its API server can be reached until the context ends.
func New(ctx context.Context, options Options) (*Cluster, error) {
	c := &Cluster{options: options}
	if err := c.prepare(ctx); err != nil {
		return nil, fmt.Errorf("prepare %s: %w", options.Plan.Name, err)
	}
	return c, nil
}

func (c *Cluster) prepare(ctx context.Context) error {
	var err error
	if c.authorities, err = newAuthorities(c.options.Plan.Name); err != nil {
		return err
	}
	if c.api, err = c.options.Fabric.Forward(ctx, c.options.Plan.APIServer()); err != nil {
		return err
	}
	admin := pki.Subject{CommonName: "lab-admin", Organizations: []string{"system:masters"}, Client: true}
	content, err := kubeconfig(c.authorities, c.options.Plan.Name, c.APIServer(), admin)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.options.Dir, 0o755); err != nil {
		return err
	}
	if err := state.WriteFile(c.Kubeconfig(), content, 0o600); err != nil {
		return err
	}
	if c.clients, err = kube.New(c.Kubeconfig()); err != nil {
		return err
	}
	for i := range c.options.Plan.Nodes {
		planned := &c.options.Plan.Nodes[i]
		spec, err := c.spec(planned)
		if err != nil {
			return fmt.Errorf("node %s: %w", planned.Name, err)
		}
		c.nodes = append(c.nodes, &member{plan: planned, spec: spec})
	}
	return nil
}

func (c *Cluster) spec(planned *plan.Node) (node.Spec, error) {
	files := files{}
	files.addConfiguration(c.options.Plan, planned)
	if err := files.addNode(c.authorities, c.options.Plan, planned); err != nil {
		return node.Spec{}, err
	}
	if planned.Number == 1 {
		if err := files.addControlPlane(c.authorities, c.options.Plan); err != nil {
			return node.Spec{}, err
		}
	}
	return node.Spec{
		Name: planned.Name, Var: filepath.Join(c.options.Dir, "nodes", planned.Name, "var"),
		Binaries: c.options.Binaries, Files: files, Rules: rules(c.options.Plan),
		Programs: programsOf(c.options.Plan, planned),
		Groups:   c.options.Groups.Layout(),
	}, nil
}

// Plan of the cluster.
func (c *Cluster) Plan() *plan.Cluster { return c.options.Plan }

// Clients of the cluster, as its administrator.
func (c *Cluster) Clients() *kube.Clients { return c.clients }

// Kubeconfig is the file of the cluster's administrator.
func (c *Cluster) Kubeconfig() string { return filepath.Join(c.options.Dir, "kubeconfig") }

// APIServer is the URL in the kubeconfig.
func (c *Cluster) APIServer() string { return "https://" + c.api.String() }
