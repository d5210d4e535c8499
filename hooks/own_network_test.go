package hooks

import (
	"context"

	sdk "github.com/deckhouse/module-sdk/pkg"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

var _ = Describe("This cluster's own addresses", func() {
	const apiServers = `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: default, name: kubernetes}
addressType: IPv4
endpoints: [{addresses: [192.168.0.10]}, {addresses: [192.168.0.11]}]
`
	const ranges = `
global: {clusterConfiguration: {podSubnetCIDR: 10.111.0.0/16, serviceSubnetCIDR: 10.222.0.0/16}}
istio: {internal: {}}
`
	known := func(values string, objects ...string) metadata.Network {
		GinkgoHelper()
		var network metadata.Network
		hook := hookruntime.Hook{
			Name:   "reader",
			Config: sdk.HookConfig{Kubernetes: []sdk.KubernetesConfig{apiServerAddressesBinding()}},
			Run: func(_ context.Context, in *sdk.HookInput) (err error) {
				network, err = ownNetwork(in)
				return err
			},
		}
		newRun(hook, values).given(objects...).succeeds()
		return network
	}
	problem := func(network metadata.Network, address string) error {
		return network.Rejects(metadata.IngressGateway{Address: address, Port: 15443})
	}

	It("are read from the cluster's configuration and the API servers' own EndpointSlice", func() {
		network := known(ranges, apiServers)
		for _, address := range []string{"10.111.2.3", "10.222.0.1", "192.168.0.10", "192.168.0.11"} {
			Expect(problem(network, address)).NotTo(Succeed(), address)
		}
		Expect(problem(network, "192.168.0.12")).To(Succeed())
	})

	It("are those that can be read, where one cannot", func() {
		const byHand = `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: default, name: kubernetes}
addressType: FQDN
endpoints: [{addresses: [api.example.com, 192.168.0.10]}]
`
		network := known(ranges, byHand)
		Expect(problem(network, "192.168.0.10")).NotTo(Succeed())
		Expect(problem(network, "10.111.2.3")).NotTo(Succeed())
	})

	It("reject nothing while they are not known", func() {
		Expect(problem(known("istio: {internal: {}}"), "10.111.2.3")).To(Succeed())
	})
})
