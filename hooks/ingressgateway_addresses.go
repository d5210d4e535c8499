package hooks

import (
	"context"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/ingressgateway"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

const ingressGatewaysPath = "istio.internal.ingressGateways"

// ingressGatewayAddresses finds out under which addresses neighbours reach the
// gateway: from the settings, the load balancer's status, or nodes and node port.
func ingressGatewayAddresses() hookruntime.Hook {
	return hookruntime.Hook{
		Name: "ingressgateway_addresses",
		Config: sdk.HookConfig{
			OnBeforeHelm: &sdk.OrderedConfig{Order: 10},
			Queue:        "/modules/istio/ingressgateway",
			Kubernetes: []sdk.KubernetesConfig{
				{
					Name:              "service",
					APIVersion:        "v1",
					Kind:              "Service",
					NamespaceSelector: inNamespace(v1alpha1.Namespace),
					NameSelector:      named("ingressgateway"),
					JqFilter: `{
						loadBalancer: [.status.loadBalancer.ingress[]? | (.ip // .hostname) | select(. != null and . != "")],
						nodePort: ([.spec.ports[]? | select(.name == "tls").nodePort][0] // 0)
					}`,
				},
				{
					Name:       "nodes",
					APIVersion: "v1",
					Kind:       "Node",
					JqFilter: `{
						name: .metadata.name,
						labels: (.metadata.labels // {}),
						externalIP: [.status.addresses[]? | select(.type == "ExternalIP").address],
						internalIP: [.status.addresses[]? | select(.type == "InternalIP").address],
						ready: ([.status.conditions[]? | select(.type == "Ready" and .status == "True")] | length > 0)
					}`,
				},
			},
		},
		Run: runIngressGatewayAddresses,
	}
}

func runIngressGatewayAddresses(_ context.Context, in *sdk.HookInput) error {
	addresses := []metadata.IngressGateway{}
	if allianceEnabled(in) {
		var wanted ingressgateway.Settings
		if err := settings(in, "istio.alliance.ingressGateway", &wanted); err != nil {
			return err
		}
		services, err := snapshot[ingressgateway.Service](in, "service")
		if err != nil {
			return err
		}
		nodes, err := snapshot[ingressgateway.Node](in, "nodes")
		if err != nil {
			return err
		}
		var service *ingressgateway.Service
		if len(services) > 0 {
			service = &services[0]
		}
		found, missing := ingressgateway.Addresses(wanted, service, nodes)
		if missing != "" {
			in.Logger.Warn("the ingress gateway has no address to publish, neighbours cannot reach this cluster's services", "why", missing)
		}
		addresses = append(addresses, found...)
	}
	in.Values.Set(ingressGatewaysPath, addresses)
	return nil
}
