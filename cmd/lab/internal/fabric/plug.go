package fabric

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/plan"
)

// uplink is the interface of a node that leads to the fabric.
const uplink = "eth0"

// Plug connects the network namespace of a process, a node's first one, to the
// network of its cluster, and sets the addresses and routes of the node.
func (f *Fabric) Plug(cluster *plan.Cluster, node *plan.Node, pid int) error {
	bridge, err := f.links.LinkByName(bridgeOf(cluster))
	if err != nil {
		return fmt.Errorf("connect node %s: %w", node.Name, err)
	}
	attributes := netlink.NewLinkAttrs()
	attributes.Name = fmt.Sprintf("node-%d-%d", cluster.Number, node.Number)
	attributes.MasterIndex = bridge.Attrs().Index
	// The kernel takes its time to remove the cable of a node that was stopped.
	if old, err := f.links.LinkByName(attributes.Name); err == nil {
		_ = f.links.LinkDel(old)
	}
	cable := &netlink.Veth{LinkAttrs: attributes, PeerName: uplink, PeerNamespace: netlink.NsPid(pid)}
	if err := f.links.LinkAdd(cable); err != nil {
		return fmt.Errorf("connect node %s: add a veth pair: %w", node.Name, err)
	}
	if err := f.links.LinkSetUp(cable); err != nil {
		return fmt.Errorf("connect node %s: %w", node.Name, err)
	}
	if err := f.configure(cluster, node, pid); err != nil {
		return fmt.Errorf("set the network of node %s: %w", node.Name, err)
	}
	if f.plan.Network != plan.Flat {
		return nil
	}
	if err := f.route(node.Pods, node.Address); err != nil {
		return fmt.Errorf("route the Pods of node %s: %w", node.Name, err)
	}
	return nil
}

// configure the node's end: its address, the way to the fabric, and the ways to other nodes' Pods.
func (f *Fabric) configure(cluster *plan.Cluster, node *plan.Node, pid int) error {
	handle, err := netns.GetFromPid(pid)
	if err != nil {
		return err
	}
	defer func() { _ = handle.Close() }()
	if err := (&namespace{handle: handle, outside: f.namespace.outside}).forward(); err != nil {
		return err
	}
	links, err := netlink.NewHandleAt(handle)
	if err != nil {
		return err
	}
	defer links.Close()
	loopback, err := links.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := links.LinkSetUp(loopback); err != nil {
		return err
	}
	link, err := links.LinkByName(uplink)
	if err != nil {
		return err
	}
	if err := links.AddrAdd(link, addressOf(netip.PrefixFrom(node.Address, cluster.Machines.Bits()))); err != nil {
		return err
	}
	if err := links.LinkSetUp(link); err != nil {
		return err
	}
	for _, route := range routesOf(cluster, node) {
		err := links.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: networkOf(route.to), Gw: route.via.AsSlice()})
		if err != nil {
			return fmt.Errorf("route %s via %s: %w", route.to, route.via, err)
		}
	}
	return nil
}

type route struct {
	to  netip.Prefix
	via netip.Addr
}

// routesOf a node: to the other nodes' Pods by those nodes, to all else by the fabric.
func routesOf(cluster *plan.Cluster, node *plan.Node) []route {
	routes := []route{{to: netip.PrefixFrom(netip.IPv4Unspecified(), 0), via: cluster.Gateway}}
	for _, other := range cluster.Nodes {
		if other.Number != node.Number {
			routes = append(routes, route{to: other.Pods, via: other.Address})
		}
	}
	return routes
}

// route in the fabric, in the place of one to the same range.
func (f *Fabric) route(to netip.Prefix, via netip.Addr) error {
	return f.links.RouteReplace(&netlink.Route{Dst: networkOf(to), Gw: via.AsSlice()})
}

// RouteAddress routes the traffic of a LoadBalancer's address to a node.
func (f *Fabric) RouteAddress(address, node netip.Addr) error {
	if err := f.route(netip.PrefixFrom(address, 32), node); err != nil {
		return fmt.Errorf("route %s via %s: %w", address, node, err)
	}
	return nil
}

// UnrouteAddress ends that; that there is no such route is no error.
func (f *Fabric) UnrouteAddress(address netip.Addr) error {
	network := networkOf(netip.PrefixFrom(address, 32))
	routes, err := f.links.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Dst: network}, netlink.RT_FILTER_DST)
	if err != nil {
		return fmt.Errorf("look for the route of %s: %w", address, err)
	}
	for i := range routes {
		if err := f.links.RouteDel(&routes[i]); err != nil {
			return fmt.Errorf("remove the route of %s: %w", address, err)
		}
	}
	return nil
}
