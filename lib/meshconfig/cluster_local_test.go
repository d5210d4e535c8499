package meshconfig_test

import (
	"slices"
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
			if got := meshconfig.ClusterLocalHosts(test.services, test.namespaces, "cluster.local"); !slices.Equal(got, test.want) || got == nil {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
