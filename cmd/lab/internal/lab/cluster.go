package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/controlplane"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/ingress"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/istiod"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kubelet"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/loopback"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/pki"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/podnet"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/process"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/progress"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/serviceproxy"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/state"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/wan"
)

const (
	// Last bytes of the cluster's own addresses in its block.
	controlPlaneHost = 1
	frontHost        = 2
	istiodHost       = 3
	egressHost       = 4
	apiFrontHost     = 5
	wanHost          = 6

	frontPort    = 8443
	operatorPort = 9650

	exporter     = "metadata-exporter"
	apiProxy     = "api-proxy"
	metadataPath = "/metadata/"
)

// cluster is one running cluster of a lab.
type cluster struct {
	mode     Mode
	plan     plan
	settings map[string]any
	dir      string
	layout   Layout
	group    *process.Group
	reporter *progress.Reporter
	changed  func()

	block   *loopback.Block
	network *podnet.Network
	plane   *controlplane.Plane
	clients *kube.Clients
	node    *kubelet.Kubelet
	// names are those of all clusters of the lab, link is what this one is reached
	// by, wan how its programs reach the others'; nil when all go by addresses.
	names *wan.Names
	link  *wan.Link
	wan   *wan.Proxy
	// front is the load balancer before the ingress controller, apiFront that before the API proxy,
	// view what the controller sees of the API.
	front    *serviceproxy.Front
	apiFront *apiFront
	view     *ingress.View
	istiods  *istiod.Fronts
	operator *operator
	uuid     string

	// background is what runs in this process for the cluster; failed gets its first error.
	background    sync.WaitGroup
	backgroundCtx context.Context
	cancel        context.CancelFunc
	failed        chan error

	// published guards what describe reads while start still writes.
	published sync.Mutex
}

// start brings the cluster up, the module's operator included.
func (c *cluster) start(ctx context.Context, public *pki.Authority) error {
	c.backgroundCtx, c.cancel = context.WithCancel(context.Background())
	var err error
	if c.block, err = loopback.Claim(); err != nil {
		return fmt.Errorf("%s: %w", c.plan.name, err)
	}
	c.network = podnet.New(c.plan.podSubnet, c.block.Address)
	selector, err := c.startEgress()
	if err != nil {
		return fmt.Errorf("%s: %w", c.plan.name, err)
	}
	address := c.block.Address(controlPlaneHost)
	plane, err := controlplane.Start(ctx, controlplane.Options{
		Name: c.plan.name, Dir: c.dir, Address: address, Programs: c.layout.Programs,
		ServiceSubnet: c.plan.serviceSubnet, ClusterDomain: c.plan.domain, EgressSelector: selector,
		Group: c.group, Reporter: c.reporter, Changed: c.changed,
	})
	if err != nil {
		return err
	}
	c.publish(func() { c.plane = plane })
	if c.clients, err = kube.New(plane.Kubeconfig()); err != nil {
		return err
	}
	if err := c.startWAN(); err != nil {
		return fmt.Errorf("%s: %w", c.plan.name, err)
	}
	if err := c.startView(); err != nil {
		return fmt.Errorf("%s: %w", c.plan.name, err)
	}
	err = c.reporter.Step(c.plan.name, "cluster prepared", "", func(func(string)) error {
		return c.prepare(ctx, public)
	})
	if err != nil {
		return err
	}
	c.startNode()
	operator, err := startOperator(c, address)
	if err != nil {
		return fmt.Errorf("%s: %w", c.plan.name, err)
	}
	c.publish(func() { c.operator = operator })
	return c.reporter.Step(c.plan.name, "operator ready", operator.log, func(note func(string)) error {
		return operator.awaitReady(ctx, note)
	})
}

func (c *cluster) prepare(ctx context.Context, public *pki.Authority) error {
	server, err := c.clients.Typed.Discovery().ServerVersion()
	if err != nil {
		return fmt.Errorf("ask the API server for its version: %w", err)
	}
	err = kubelet.RegisterNode(ctx, c.clients.Typed, c.plan.nodeIP.String(), netip.PrefixFrom(c.plan.podSubnet.Addr(), 24).String(), server.GitVersion)
	if err != nil {
		return err
	}
	err = seed{
		plan: c.plan, version: server.GitVersion, crdFile: c.layout.ModuleConfigCRD(),
		public: public, fronts: c.fronts(), settings: c.settings,
	}.apply(ctx, c.clients)
	if err != nil {
		return err
	}
	certificate, err := public.Issue(publicSubject("ingress controller of "+c.plan.name, c.plan, c.fronts()))
	if err != nil {
		return err
	}
	return ingress.Apply(ctx, c.clients, certificate)
}

// stop ends the operator, then the Pods, then the control plane.
func (c *cluster) stop() error {
	if c.operator != nil {
		c.operator.keeper.Stop()
		<-c.operator.keeper.Done()
	}
	if c.cancel != nil {
		c.cancel()
	}
	c.background.Wait()
	if c.plane != nil {
		c.plane.Stop()
	}
	var err error
	if c.block != nil {
		err = c.block.Release()
	}
	return err
}

func (c *cluster) publish(change func()) {
	c.published.Lock()
	change()
	c.published.Unlock()
	c.changed()
}

// istiodAddresses by revision.
func (c *cluster) istiodAddresses() map[string]state.Istiod {
	c.published.Lock()
	istiods := c.istiods
	c.published.Unlock()
	if istiods == nil {
		return map[string]state.Istiod{}
	}
	return istiods.Addresses()
}

// processes of the cluster that exist or existed and are to exist again.
func (c *cluster) processes() []state.Process {
	c.published.Lock()
	defer c.published.Unlock()
	var all []state.Process
	add := func(name, pod, log string, status process.Status) {
		if status.PID == 0 || status.State == process.Stopped {
			return
		}
		entry := state.Process{
			Name: name, Pod: pod, PID: status.PID, Log: log,
			State: string(status.State), Restarts: status.Restarts, Started: status.Started.UTC().Truncate(time.Millisecond),
		}
		switch {
		case status.StartError != nil:
			entry.Message = status.StartError.Error()
		case status.State == process.BackOff && status.Last != nil:
			entry.Message = "ended with " + status.Last.Reason
		}
		all = append(all, entry)
	}
	if c.plane != nil {
		for _, p := range c.plane.Processes() {
			add(p.Name, "", p.Log, p.Keeper.Status())
		}
	}
	if c.operator != nil {
		add(operatorName, "", c.operator.log, c.operator.keeper.Status())
	}
	if c.node != nil {
		for _, p := range c.node.Processes() {
			add(p.Name, p.Pod, p.Log, p.Status)
		}
	}
	return all
}

// errStopped is the cause of everything that a stopping lab interrupts.
var errStopped = errors.New("the lab is being stopped")
