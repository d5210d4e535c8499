package plan

import "fmt"

// Mode in which the clusters are joined.
type Mode string

// Modes, as in the contract.
const (
	Federation   Mode = "federation"
	Multicluster Mode = "multicluster"
	// Mixed: all clusters but the last are one mesh, and the last is federated with the first.
	Mixed Mode = "mixed"
)

// minMixed is the smallest lab in which both kinds of peers exist.
const minMixed = 3

// Network says whether Pods of different clusters reach each other's addresses.
type Network string

// Networks, as in the contract.
const (
	// Separate: Pod ranges are not routed between clusters.
	Separate Network = "separate"
	// Flat: they are.
	Flat Network = "flat"
)

// ParseMode rejects what cannot be started.
func ParseMode(text string) (Mode, error) {
	switch mode := Mode(text); mode {
	case Federation, Multicluster, Mixed:
		return mode, nil
	}
	return "", fmt.Errorf("mode %q is not known: use %s, %s or %s", text, Federation, Multicluster, Mixed)
}

// ParseNetwork rejects what cannot be started; empty is the mode's usual one.
func ParseNetwork(text string) (Network, error) {
	switch network := Network(text); network {
	case "", Separate, Flat:
		return network, nil
	}
	return "", fmt.Errorf("network %q is not known: use %s or %s", text, Separate, Flat)
}

// usualNetwork of a mode when a person chooses none.
func (m Mode) usualNetwork() Network {
	if m == Multicluster {
		return Flat
	}
	return Separate
}

func (o Options) check() error {
	switch {
	case o.Clusters < 1 || o.Clusters > MaxClusters:
		return fmt.Errorf("%d clusters: a lab has 1 to %d", o.Clusters, MaxClusters)
	case o.Nodes < 1 || o.Nodes > MaxNodes:
		return fmt.Errorf("%d nodes: a cluster has 1 to %d", o.Nodes, MaxNodes)
	case o.Mode == Mixed && o.Clusters < minMixed:
		return fmt.Errorf("%d clusters: mode %s needs %d at least, two of one mesh and one that is federated with them", o.Clusters, o.Mode, minMixed)
	}
	return nil
}
