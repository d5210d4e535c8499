// Package fabric is the network between the clusters of a lab: a network
// namespace without a way out, with a bridge for each cluster and routes
// between them, the DNS of public names, and servers at an address of its
// own (the image registry, servers of tests).
package fabric

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/vishvananda/netlink"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/plan"
)

// Fabric of a running lab. It is gone when this process is.
type Fabric struct {
	plan      *plan.Lab
	namespace *namespace
	links     *netlink.Handle

	mu  sync.Mutex
	cut map[Pair]bool
}

// New makes the fabric of the lab that is planned.
func New(ctx context.Context, lab *plan.Lab) (*Fabric, error) {
	namespace, err := newNamespace()
	if err != nil {
		return nil, fmt.Errorf("make the fabric: %w", err)
	}
	links, err := netlink.NewHandleAt(namespace.handle)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make the fabric: %w", err), namespace.close())
	}
	f := &Fabric{plan: lab, namespace: namespace, links: links, cut: map[Pair]bool{}}
	if err := f.build(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("make the fabric: %w", err), f.Close())
	}
	return f, nil
}

func (f *Fabric) build(ctx context.Context) error {
	loopback, err := f.links.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := f.links.LinkSetUp(loopback); err != nil {
		return err
	}
	if err := f.links.AddrAdd(loopback, addressOf(netip.PrefixFrom(plan.FabricAddress, 32))); err != nil {
		return fmt.Errorf("add %s: %w", plan.FabricAddress, err)
	}
	for i := range f.plan.Clusters {
		if err := f.addBridge(&f.plan.Clusters[i]); err != nil {
			return fmt.Errorf("network of %s: %w", f.plan.Clusters[i].Name, err)
		}
	}
	if err := f.namespace.forward(); err != nil {
		return err
	}
	return f.applyRules(ctx)
}

// bridgeOf a cluster in the fabric.
func bridgeOf(cluster *plan.Cluster) string { return "br-" + cluster.Name }

func (f *Fabric) addBridge(cluster *plan.Cluster) error {
	attributes := netlink.NewLinkAttrs()
	attributes.Name = bridgeOf(cluster)
	bridge := &netlink.Bridge{LinkAttrs: attributes}
	if err := f.links.LinkAdd(bridge); err != nil {
		return fmt.Errorf("add bridge %s: %w", attributes.Name, err)
	}
	if err := f.links.AddrAdd(bridge, addressOf(netip.PrefixFrom(cluster.Gateway, cluster.Machines.Bits()))); err != nil {
		return fmt.Errorf("add %s: %w", cluster.Gateway, err)
	}
	return f.links.LinkSetUp(bridge)
}

// Path by which another process can enter the fabric's network namespace.
func (f *Fabric) Path() string { return f.namespace.path() }

// Listen for TCP connections at an address in the fabric.
func (f *Fabric) Listen(address netip.AddrPort) (net.Listener, error) {
	listener, err := f.namespace.listen(address.String())
	if err != nil {
		return nil, fmt.Errorf("listen in the fabric: %w", err)
	}
	return listener, nil
}

// Dial opens a TCP connection from the fabric to an address.
func (f *Fabric) Dial(ctx context.Context, address netip.AddrPort) (net.Conn, error) {
	return f.namespace.dial(ctx, address.String())
}

// Close ends the fabric: its interfaces go with the namespace, once no socket is left in it.
func (f *Fabric) Close() error {
	f.links.Close()
	return f.namespace.close()
}

func addressOf(prefix netip.Prefix) *netlink.Addr {
	return &netlink.Addr{IPNet: networkOf(prefix)}
}

func networkOf(prefix netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())}
}
