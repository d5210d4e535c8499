package lab

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestModuleSettings(t *testing.T) {
	for name, test := range map[string]struct {
		needs  []Mode
		file   string
		want   map[string]any
		joined bool
	}{
		"without a file the join is on": {
			needs: []Mode{Federation}, want: map[string]any{"federation": map[string]any{"enabled": true}}, joined: true,
		},
		"without a file both joins are on": {
			needs: []Mode{Federation, Multicluster}, joined: true,
			want: map[string]any{"federation": map[string]any{"enabled": true}, "multicluster": map[string]any{"enabled": true}},
		},
		"a cluster of a mesh is not federated": {
			needs: []Mode{Multicluster}, want: map[string]any{"multicluster": map[string]any{"enabled": true}},
		},
		"a file adds to what the join needs": {
			needs: []Mode{Federation},
			file:  "alliance: {ingressGateway: {inlet: NodePort}}\nfederation: {}\n",
			want: map[string]any{
				"federation": map[string]any{"enabled": true},
				"alliance":   map[string]any{"ingressGateway": map[string]any{"inlet": "NodePort"}},
			},
			joined: true,
		},
		"a file has the last word": {
			needs: []Mode{Federation},
			file:  "federation: {enabled: false}\n",
			want:  map[string]any{"federation": map[string]any{"enabled": false}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := ""
			if test.file != "" {
				file = filepath.Join(t.TempDir(), "settings.yaml")
				if err := os.WriteFile(file, []byte(test.file), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, err := moduleSettings(test.needs, file)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Fatalf("settings %v, want %v", got, test.want)
			}
			if enabled(got, Federation) != test.joined {
				t.Fatalf("enabled = %t, want %t", !test.joined, test.joined)
			}
		})
	}
}

func TestSettingsThatAreNotAMapAreRefusedByName(t *testing.T) {
	file := filepath.Join(t.TempDir(), "settings.yaml")
	if err := os.WriteFile(file, []byte("- a list\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := moduleSettings([]Mode{Federation}, file); err == nil || !strings.Contains(err.Error(), file) {
		t.Fatalf("error %v does not name the file", err)
	}
}

func TestParseMode(t *testing.T) {
	for text, want := range map[string]string{"federation": "", "multicluster": "", "mixed": "", "mesh": "not known"} {
		_, err := ParseMode(text)
		if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("ParseMode(%q): %v, want %q", text, err, want)
		}
	}
}

func TestTheSizeOfALabFitsItsMode(t *testing.T) {
	for name, test := range map[string]struct {
		mode     Mode
		clusters int
		want     string
	}{
		"one cluster, to look at the module alone":    {Federation, 1, ""},
		"as many as there are letters":                {Multicluster, MaxClusters, ""},
		"none":                                        {Federation, 0, "between 1 and"},
		"more than there are letters":                 {Multicluster, MaxClusters + 1, "between 1 and"},
		"two cannot be joined in two ways":            {Mixed, 2, "3 clusters at least"},
		"two of one mesh and one federated with them": {Mixed, 3, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.mode.CheckSize(test.clusters)
			if (err == nil) != (test.want == "") || (err != nil && !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestHowClustersAreJoined(t *testing.T) {
	for name, test := range map[string]struct {
		mode    Mode
		domains []string
		needs   [][]Mode
		joins   []map[string]Mode
	}{
		"federated, each has a domain": {
			Federation, []string{"cluster-a.local", "cluster-b.local", "cluster-c.local"},
			[][]Mode{{Federation}, {Federation}, {Federation}},
			[]map[string]Mode{
				{"cluster-b": Federation, "cluster-c": Federation}, {"cluster-a": Federation, "cluster-c": Federation},
				{"cluster-a": Federation, "cluster-b": Federation},
			},
		},
		"in one mesh, all have the same": {
			Multicluster, []string{"cluster.local", "cluster.local", "cluster.local"},
			[][]Mode{{Multicluster}, {Multicluster}, {Multicluster}},
			[]map[string]Mode{
				{"cluster-b": Multicluster, "cluster-c": Multicluster}, {"cluster-a": Multicluster, "cluster-c": Multicluster},
				{"cluster-a": Multicluster, "cluster-b": Multicluster},
			},
		},
		"mixed, the last one is federated with the mesh by way of its first cluster": {
			Mixed, []string{"cluster.local", "cluster.local", "cluster-c.local"},
			[][]Mode{{Federation, Multicluster}, {Federation, Multicluster}, {Federation}},
			[]map[string]Mode{
				{"cluster-b": Multicluster, "cluster-c": Federation}, {"cluster-a": Multicluster}, {"cluster-a": Federation},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			plans := planClusters(3, test.mode)
			for i, plan := range plans {
				if plan.domain != test.domains[i] || !reflect.DeepEqual(plan.needs, test.needs[i]) {
					t.Errorf("%s has domain %s and needs %v", plan.name, plan.domain, plan.needs)
				}
				if !reflect.DeepEqual(plan.joins, test.joins[i]) {
					t.Errorf("%s is joined by %v", plan.name, plan.joins)
				}
			}
		})
	}
}

func TestClustersOfALabShareNoRange(t *testing.T) {
	plans := planClusters(MaxClusters, Multicluster)
	for i, a := range plans {
		if !a.nodeIP.IsPrivate() {
			t.Errorf("plan %+v", a)
		}
		for _, b := range plans[i+1:] {
			if a.podSubnet.Overlaps(b.podSubnet) || a.serviceSubnet.Overlaps(b.serviceSubnet) || a.podSubnet.Overlaps(b.serviceSubnet) || a.serviceSubnet.Overlaps(b.podSubnet) {
				t.Errorf("ranges of %s and %s overlap", a.name, b.name)
			}
		}
	}
}
