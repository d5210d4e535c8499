package meshconfig_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/deckhouse-mesh/istio/lib/meshconfig"
)

func TestClusterLocalHosts(t *testing.T) {
	for name, test := range map[string]struct {
		services   []meshconfig.Service
		namespaces []string
		want       []string
	}{
		"nothing is labelled": {nil, nil, []string{}},
		"a Service":           {[]meshconfig.Service{{"shop", "db"}}, nil, []string{"db.shop.svc.cluster.local"}},
		"a namespace":         {nil, []string{"shop"}, []string{"*.shop.svc.cluster.local"}},
		"a Service of a labelled namespace is in it": {[]meshconfig.Service{{"shop", "db"}}, []string{"shop"}, []string{"*.shop.svc.cluster.local"}},
		"the order of the list does not matter":      {[]meshconfig.Service{{"b", "x"}, {"a", "x"}}, []string{"z"}, []string{"*.z.svc.cluster.local", "x.a.svc.cluster.local", "x.b.svc.cluster.local"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, widened := meshconfig.ClusterLocalHosts(test.services, test.namespaces, "cluster.local")
			if !slices.Equal(got, test.want) || got == nil || widened != nil {
				t.Errorf("got %q, want %q; widened: %q", got, test.want, widened)
			}
		})
	}
}

func TestATenantsLabelsDoNotFillTheMeshConfiguration(t *testing.T) {
	var services []meshconfig.Service
	for index := range 7_200 {
		services = append(services, meshconfig.Service{Namespace: "evil", Name: fmt.Sprintf("%s-%05d", strings.Repeat("s", 57), index)})
	}
	for index := range 20 {
		services = append(services, meshconfig.Service{Namespace: "shop", Name: fmt.Sprint("db-", index)})
	}
	hosts, widened := meshconfig.ClusterLocalHosts(services, nil, "cluster.local")
	if !slices.Equal(widened, []string{"evil"}) {
		t.Errorf("widened: %q", widened)
	}
	if !slices.Contains(hosts, "*.evil.svc.cluster.local") || !slices.Contains(hosts, "db-7.shop.svc.cluster.local") || len(hosts) != 21 {
		t.Errorf("%d hosts: %.200q", len(hosts), hosts)
	}
}

func TestTheMeshConfigurationIsBoundedForManyNamespaces(t *testing.T) {
	var services []meshconfig.Service
	for namespace := range 2_000 {
		for index := range 60 {
			services = append(services, meshconfig.Service{Namespace: fmt.Sprintf("%s-%04d", strings.Repeat("n", 40), namespace), Name: fmt.Sprintf("%s-%02d", strings.Repeat("s", 57), index)})
		}
	}
	services = append(services, meshconfig.Service{Namespace: "shop", Name: "db"})
	hosts, widened := meshconfig.ClusterLocalHosts(services, nil, "cluster.local")
	if len(widened) < 1_900 || slices.Contains(widened, "shop") {
		t.Errorf("%d namespaces are widened; the small one is among them: %v", len(widened), slices.Contains(widened, "shop"))
	}
	bytes := 0
	for _, host := range hosts {
		bytes += len(host) + 4
	}
	// Besides the named ones there is one entry for each namespace.
	if bytes > 300<<10 {
		t.Errorf("%d bytes", bytes)
	}
	covered := map[string]bool{}
	for _, host := range hosts {
		covered[strings.Split(host, ".")[1]] = true
	}
	if len(covered) != 2_001 || !slices.Contains(hosts, "db.shop.svc.cluster.local") {
		t.Errorf("%d namespaces are covered; the small one keeps its Service: %v", len(covered), slices.Contains(hosts, "db.shop.svc.cluster.local"))
	}
}

func TestClusterLocalHostsAreNamedInTheMeshConfiguration(t *testing.T) {
	const (
		none = "rootNamespace: d8-istio\ntrustDomain: cluster-a.local"
		one  = "rootNamespace: d8-istio\nserviceSettings:\n- hosts:\n  - db.shop.svc.cluster.local\n  settings:\n    clusterLocal: true\ntrustDomain: cluster-a.local"
		two  = "rootNamespace: d8-istio\nserviceSettings:\n- hosts:\n  - '*.private.svc.cluster.local'\n  - db.shop.svc.cluster.local\n  settings:\n    clusterLocal: true\ntrustDomain: cluster-a.local"
	)
	for name, test := range map[string]struct {
		mesh  string
		hosts []string
		want  string
	}{
		"the first":                            {none, []string{"db.shop.svc.cluster.local"}, one},
		"another one":                          {one, []string{"*.private.svc.cluster.local", "db.shop.svc.cluster.local"}, two},
		"one less":                             {two, []string{"db.shop.svc.cluster.local"}, one},
		"none any more":                        {one, nil, none},
		"none, as before":                      {none, nil, none},
		"what is there stays as it is written": {"# by hand\n" + one + "\n", []string{"db.shop.svc.cluster.local"}, "# by hand\n" + one + "\n"},
		"settings of another form give way":    {none + "\nserviceSettings: all", []string{"db.shop.svc.cluster.local"}, one},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := meshconfig.WithClusterLocalHosts(test.mesh, test.hosts)
			if err != nil || got != test.want {
				t.Errorf("got %v\n%s\nwant\n%s", err, got, test.want)
			}
		})
	}
	if _, err := meshconfig.WithClusterLocalHosts("rootNamespace: [", nil); err == nil {
		t.Error("a configuration that cannot be read is no error")
	}
}
