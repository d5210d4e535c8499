package hooks

import (
	"context"
	"encoding/json"
	"slices"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/ingressgateway"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

const ingressGatewaysPath = "istio.internal.ingressGateways"

// ingressGatewayAddresses finds out under which addresses neighbours reach the
// gateway: from the settings, the load balancer's status, or nodes and node port.
// Having none right now does not displace those that were published: neighbours
// would drop every connection for a load balancer that is being replaced.
func ingressGatewayAddresses() hookruntime.Hook {
	return hookruntime.Hook{
		Name: "ingressgateway_addresses",
		Config: sdk.HookConfig{
			// After alliance_metadata, which knows whether the gateway is wanted.
			OnBeforeHelm: &sdk.OrderedConfig{Order: 25},
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
				{
					// What an earlier process published; this hook's own doing, hence no reason to run.
					Name:                         "published",
					APIVersion:                   "v1",
					Kind:                         "ConfigMap",
					NamespaceSelector:            inNamespace(v1alpha1.Namespace),
					NameSelector:                 named("metadata-exporter"),
					JqFilter:                     `.data["ingress-gateways.json"] // ""`,
					ExecuteHookOnEvents:          &no,
					ExecuteHookOnSynchronization: &no,
				},
			},
		},
		Run: runIngressGatewayAddresses,
	}
}

func runIngressGatewayAddresses(_ context.Context, in *sdk.HookInput) error {
	addresses := []metadata.IngressGateway{}
	if gatewayWanted(in) {
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
			if found, err = publishedAddresses(in); err != nil {
				return err
			}
			if len(found) > 0 {
				in.Logger.Warn("the ingress gateway has no address right now, those published before stay", "why", missing, "addresses", found)
			} else {
				in.Logger.Warn("the ingress gateway has no address to publish, neighbours cannot reach this cluster's services", "why", missing)
			}
		}
		addresses = append(addresses, found...)
	}
	in.Values.Set(ingressGatewaysPath, addresses)
	return nil
}

// publishedAddresses returns what neighbours were told so far: by this process,
// else by the one before it.
func publishedAddresses(in *sdk.HookInput) ([]metadata.IngressGateway, error) {
	var known []metadata.IngressGateway
	if err := settings(in, ingressGatewaysPath, &known); err != nil || len(known) > 0 {
		return known, err
	}
	documents, err := snapshot[string](in, "published")
	if err != nil || len(documents) == 0 || documents[0] == "" {
		return nil, err
	}
	if err := json.Unmarshal([]byte(documents[0]), &known); err != nil {
		// Anybody may have edited it; it is only worth something as long as it can be read.
		in.Logger.Warn("ingress-gateways.json of ConfigMap d8-istio/metadata-exporter is ignored", "error", err.Error())
		return nil, nil
	}
	return slices.DeleteFunc(known, func(gateway metadata.IngressGateway) bool { return gateway.Check() != nil }), nil
}
