package plan

import (
	"net/netip"
	"strings"
	"testing"
)

func mustPlan(t *testing.T, options Options) *Lab {
	t.Helper()
	lab, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	return lab
}

func TestSovereignClustersHaveDomainsOfTheirOwnAndTheSameRanges(t *testing.T) {
	lab := mustPlan(t, Options{Clusters: 2, Nodes: 2, Mode: Federation})
	a, b := lab.Clusters[0], lab.Clusters[1]
	if a.Domain != "cluster-a.local" || b.Domain != "cluster-b.local" {
		t.Errorf("domains %s, %s", a.Domain, b.Domain)
	}
	if a.Pods != b.Pods || a.Services != b.Services || a.Pods.String() != "10.244.0.0/16" || a.Services.String() != "10.96.0.0/16" {
		t.Errorf("ranges %s %s, %s %s", a.Pods, a.Services, b.Pods, b.Services)
	}
	if !a.Masquerade {
		t.Error("nobody outside could answer its Pods")
	}
	node := b.Nodes[1]
	if node.Name != "cluster-b-2" || node.Address.String() != "10.89.2.12" || node.Pods.String() != "10.244.2.0/24" {
		t.Errorf("second node of the second cluster: %+v", node)
	}
	if got := b.DNSService().String(); got != "10.96.0.10" {
		t.Errorf("DNS at %s", got)
	}
	if got := lab.PublicNames()["cluster-b.lab"].String(); got != "10.89.2.128" {
		t.Errorf("public names of cluster-b lead to %s", got)
	}
}

func TestRoutedRangesDiffer(t *testing.T) {
	for name, options := range map[string]Options{
		"in one mesh":                       {Clusters: MaxClusters, Nodes: 1, Mode: Multicluster},
		"in one mesh that is not routed":    {Clusters: 3, Nodes: 1, Mode: Multicluster, Network: Separate},
		"in a federation that is routed":    {Clusters: 3, Nodes: 1, Mode: Federation, Network: Flat},
		"in one mesh with a federated peer": {Clusters: 3, Nodes: 1, Mode: Mixed},
	} {
		t.Run(name, func(t *testing.T) {
			var all []netip.Prefix
			for _, cluster := range mustPlan(t, options).Clusters {
				all = append(all, cluster.Pods, cluster.Services, cluster.Machines)
			}
			for i := range all {
				for j := range i {
					if all[i].Overlaps(all[j]) {
						t.Errorf("%s and %s overlap", all[j], all[i])
					}
				}
			}
		})
	}
}

func TestMixedClustersAreOneMeshAndAFederatedPeer(t *testing.T) {
	lab := mustPlan(t, Options{Clusters: 3, Nodes: 1, Mode: Mixed})
	for _, want := range []struct{ from, to, mode string }{
		{"cluster-a", "cluster-b", "multicluster"}, {"cluster-b", "cluster-a", "multicluster"},
		{"cluster-a", "cluster-c", "federation"}, {"cluster-c", "cluster-a", "federation"},
		{"cluster-b", "cluster-c", ""}, {"cluster-c", "cluster-b", ""},
	} {
		cluster, _ := lab.Cluster(want.from)
		if got := string(cluster.Peers[want.to]); got != want.mode {
			t.Errorf("%s is a peer of %s by %q, want %q", want.from, want.to, got, want.mode)
		}
	}
}

func TestImpossibleLabsAreRejected(t *testing.T) {
	for name, test := range map[string]struct {
		options Options
		want    string
	}{
		"without clusters":       {Options{Clusters: 0, Nodes: 1, Mode: Federation}, "1 to 26"},
		"with too many clusters": {Options{Clusters: 27, Nodes: 1, Mode: Federation}, "1 to 26"},
		"without nodes":          {Options{Clusters: 1, Nodes: 0, Mode: Federation}, "1 to 100"},
		"mixed, of two clusters": {Options{Clusters: 2, Nodes: 1, Mode: Mixed}, "needs 3"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := New(test.options); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v does not say %q", err, test.want)
			}
		})
	}
}
