// Package plan decides everything about a lab before it starts:
// its clusters, their domains, their nodes and the ranges of their networks.
package plan

import (
	"fmt"
	"net/netip"
)

// Limits of one lab.
const (
	// MaxClusters: their names end in a letter.
	MaxClusters = 26
	// MaxNodes of a cluster: their addresses end below those of load balancers.
	MaxNodes = 100
)

const (
	// firstNode is the last byte of the first node's address.
	firstNode = 11
	// firstLoadBalancer and lastLoadBalancer are the last bytes of LoadBalancer addresses.
	firstLoadBalancer, lastLoadBalancer = 128, 254
	// dnsService is the last byte of CoreDNS' cluster IP.
	dnsService = 10
	// meshDomain is that of all clusters of one mesh.
	meshDomain = "cluster.local"
	// publicSuffix is the domain of all public names of a lab.
	publicSuffix = "lab"
)

// FabricAddress is the fabric's own address, which every Pod and node reaches.
// Servers that tests run in the fabric listen there.
var FabricAddress = netip.AddrFrom4([4]byte{10, 89, 0, 1})

// Options that a person chooses.
type Options struct {
	Clusters int
	// Nodes of each cluster.
	Nodes   int
	Mode    Mode
	Network Network
}

// Lab is the plan of a lab.
type Lab struct {
	Mode     Mode
	Network  Network
	Clusters []Cluster
}

// Cluster is the plan of a cluster.
type Cluster struct {
	// Number counts from 1.
	Number int
	Name   string
	// Domain of its Services, and its trust domain.
	Domain string
	// Peers are the clusters that this one has resources for, by name: Federation or Multicluster.
	Peers map[string]Mode
	// Needs are the kinds that the cluster's settings are to switch on.
	Needs []Mode
	// Machines is the network of its nodes, with Gateway in the fabric.
	Machines netip.Prefix
	Gateway  netip.Addr
	Pods     netip.Prefix
	Services netip.Prefix
	// Masquerade is true where traffic from a Pod leaves the cluster with its node's address,
	// since nobody outside has a route to Pods.
	Masquerade bool
	Nodes      []Node
}

// Node is the plan of a node.
type Node struct {
	// Number counts from 1 in its cluster; the first has the control plane.
	Number  int
	Name    string
	Address netip.Addr
	// Pods is the node's part of the cluster's range.
	Pods netip.Prefix
}

// New plans a lab, or says what is wrong with the options.
func New(options Options) (*Lab, error) {
	if err := options.check(); err != nil {
		return nil, err
	}
	network := options.Network
	if network == "" {
		network = options.Mode.usualNetwork()
	}
	lab := &Lab{Mode: options.Mode, Network: network}
	for i := range options.Clusters {
		lab.Clusters = append(lab.Clusters, newCluster(i, options, network))
	}
	for i := range lab.Clusters {
		lab.Clusters[i].Peers = lab.peers(i)
	}
	return lab, nil
}

func newCluster(i int, options Options, network Network) Cluster {
	letter := string(rune('a' + i))
	number := i + 1
	cluster := Cluster{
		Number: number, Name: "cluster-" + letter, Domain: "cluster-" + letter + ".local", Needs: []Mode{options.Mode},
		Machines:   prefix(24, 10, 89, number),
		Gateway:    address(10, 89, number, 1),
		Masquerade: network == Separate,
		Pods:       prefix(16, 10, 100+number), Services: prefix(16, 10, 200+number),
	}
	switch {
	case options.Mode == Multicluster:
		cluster.Domain = meshDomain
	case options.Mode == Mixed && i < options.Clusters-1:
		cluster.Domain, cluster.Needs = meshDomain, []Mode{Federation, Multicluster}
	case options.Mode == Mixed:
		cluster.Needs = []Mode{Federation}
	case network == Separate:
		// Sovereign clusters know nothing of each other's ranges: here they are even the same.
		cluster.Pods, cluster.Services = prefix(16, 10, 244), prefix(16, 10, 96)
	}
	for j := range options.Nodes {
		pods := cluster.Pods.Addr().As4()
		cluster.Nodes = append(cluster.Nodes, Node{
			Number: j + 1, Name: fmt.Sprintf("%s-%d", cluster.Name, j+1),
			Address: address(10, 89, number, firstNode+j),
			Pods:    prefix(24, int(pods[0]), int(pods[1]), j+1),
		})
	}
	return cluster
}

// peers of a cluster. In mode mixed the last cluster is
// federated with the first alone: a cluster has one IstioFederation for a trust
// domain, and the first is in one mesh with the rest.
func (l *Lab) peers(i int) map[string]Mode {
	peers := map[string]Mode{}
	for j := range l.Clusters {
		switch {
		case i == j:
		case l.Clusters[i].Domain == l.Clusters[j].Domain:
			peers[l.Clusters[j].Name] = Multicluster
		case l.Mode == Federation || i == 0 || j == 0:
			peers[l.Clusters[j].Name] = Federation
		}
	}
	return peers
}

// Cluster of that name.
func (l *Lab) Cluster(name string) (*Cluster, bool) {
	for i := range l.Clusters {
		if l.Clusters[i].Name == name {
			return &l.Clusters[i], true
		}
	}
	return nil, false
}

// APIServer is where the cluster's API server listens.
func (c *Cluster) APIServer() netip.AddrPort { return netip.AddrPortFrom(c.Nodes[0].Address, 6443) }

// KubernetesService is the cluster IP of the API server.
func (c *Cluster) KubernetesService() netip.Addr { return c.Services.Addr().Next() }

// DNSService is the cluster IP of CoreDNS.
func (c *Cluster) DNSService() netip.Addr {
	bytes := c.Services.Addr().As4()
	bytes[3] = dnsService
	return netip.AddrFrom4(bytes)
}

// LoadBalancers are the first and the last address for Services of type LoadBalancer.
func (c *Cluster) LoadBalancers() (first, last netip.Addr) {
	return address(10, 89, c.Number, firstLoadBalancer), address(10, 89, c.Number, lastLoadBalancer)
}

// IngressAddress is that of the ingress controller's Service, to which the cluster's public names lead.
func (c *Cluster) IngressAddress() netip.Addr {
	first, _ := c.LoadBalancers()
	return first
}

// PublicDomain holds all public names of the cluster.
func (c *Cluster) PublicDomain() string { return c.Name + "." + publicSuffix }

// PublicDomainTemplate is Deckhouse's setting that makes public names of the cluster.
func (c *Cluster) PublicDomainTemplate() string { return "%s." + c.PublicDomain() }

// PublicNames are the domains of a lab's public names, each with the address
// that it and all names below it lead to. The names of host.lab lead to the
// fabric's own address, where tests run servers.
func (l *Lab) PublicNames() map[string]netip.Addr {
	names := map[string]netip.Addr{"host." + publicSuffix: FabricAddress}
	for i := range l.Clusters {
		names[l.Clusters[i].PublicDomain()] = l.Clusters[i].IngressAddress()
	}
	return names
}

func prefix(bits int, bytes ...int) netip.Prefix { return netip.PrefixFrom(address(bytes...), bits) }

func address(bytes ...int) netip.Addr {
	var all [4]byte
	for i, b := range bytes {
		all[i] = byte(b)
	}
	return netip.AddrFrom4(all)
}
