package cluster

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/node"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/plan"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/state"
)

// member is a node of a cluster, whether it runs or not.
type member struct {
	plan *plan.Node
	spec node.Spec

	// changing is held while the node is started or stopped.
	changing sync.Mutex
	mu       sync.Mutex
	machine  *node.Machine
}

func (m *member) running() *node.Machine {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.machine
}

func (m *member) set(machine *node.Machine) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.machine = machine
}

// forget a machine that has ended, unless the node runs on another by now.
func (m *member) forget(machine *node.Machine) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.machine == machine {
		m.machine = nil
	}
}

// startNodes starts all nodes at once.
func (c *Cluster) startNodes() error {
	var all errgroup.Group
	for _, m := range c.nodes {
		all.Go(func() error { return c.start(m) })
	}
	return all.Wait()
}

func (c *Cluster) start(m *member) error {
	m.changing.Lock()
	defer m.changing.Unlock()
	if m.running() != nil {
		return fmt.Errorf("node %s is running already", m.plan.Name)
	}
	folders, err := c.options.Groups.Create(m.plan.Name)
	if err != nil {
		return err
	}
	m.spec.Folders = folders
	machine, err := node.Start(c.options.Group, m.spec, func(pid int) error {
		return c.options.Fabric.Plug(c.options.Plan, m.plan, pid)
	})
	if err != nil {
		return errors.Join(err, c.options.Groups.Remove(m.plan.Name))
	}
	m.set(machine)
	c.options.Changed()
	go func() {
		<-machine.Done()
		m.forget(machine)
		c.options.Changed()
	}()
	return nil
}

func (c *Cluster) stop(m *member) error {
	m.changing.Lock()
	defer m.changing.Unlock()
	if machine := m.running(); machine != nil {
		machine.Kill()
		m.forget(machine)
	}
	return c.options.Groups.Remove(m.plan.Name)
}

// Stop all nodes, as a power cut would.
func (c *Cluster) Stop() error {
	var all errgroup.Group
	for _, m := range c.nodes {
		all.Go(func() error { return c.stop(m) })
	}
	return all.Wait()
}

// StartNode starts a node that was stopped. Its /var has the former content.
func (c *Cluster) StartNode(name string) error {
	m, err := c.member(name)
	if err != nil {
		return err
	}
	return c.start(m)
}

// StopNode ends a node as a power cut would; that it is not running is no error.
func (c *Cluster) StopNode(name string) error {
	m, err := c.member(name)
	if err != nil {
		return err
	}
	return c.stop(m)
}

func (c *Cluster) member(name string) (*member, error) {
	for _, m := range c.nodes {
		if m.plan.Name == name {
			return m, nil
		}
	}
	return nil, fmt.Errorf("%s has no node %q", c.options.Plan.Name, name)
}

// isRunning reports whether the node of that name has power.
func (c *Cluster) isRunning(name string) bool {
	m, err := c.member(name)
	return err == nil && m.running() != nil
}

// Nodes of the cluster as others are to find them; a node that is stopped has no pid.
func (c *Cluster) Nodes() []state.Node {
	var nodes []state.Node
	for _, m := range c.nodes {
		described := state.Node{Name: m.plan.Name, Address: m.plan.Address.String(), Logs: m.spec.LogFolder()}
		if machine := m.running(); machine != nil {
			described.PID = machine.PID()
		}
		nodes = append(nodes, described)
	}
	return nodes
}
