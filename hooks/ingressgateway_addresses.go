package hooks

import (
	"context"
	"encoding/json"
	"slices"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/ingressgateway"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/names"
)

var ingressGatewaysPath = names.ValuesPath("internal.ingressGateways")

// ingressGatewayAddresses determines the addresses by which peers reach the
// gateway: from the settings, the load balancer's status, or nodes and node port.
// While there are none, those that were published are retained: else peers would
// drop every connection while a load balancer is being replaced.
func ingressGatewayAddresses() hookruntime.Hook {
	return hookruntime.Hook{
		Name: "ingressgateway_addresses",
		Config: sdk.HookConfig{
			OnBeforeHelm: at(orderIngressGateway),
			Queue:        "/modules/istio/ingressgateway",
			Kubernetes: []sdk.KubernetesConfig{
				{
					Name:              "service",
					APIVersion:        "v1",
					Kind:              "Service",
					NamespaceSelector: inNamespace(names.Namespace),
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
				// What an earlier process published.
				withoutEvents(configMapBinding("published", "metadata-exporter", `.data["ingress-gateways.json"] // ""`)),
			},
		},
		Run: runIngressGatewayAddresses,
	}
}

func runIngressGatewayAddresses(_ context.Context, in *sdk.HookInput) error {
	addresses := []metadata.IngressGateway{}
	if gatewayWanted(in) {
		var wanted ingressgateway.Settings
		if err := settings(in, names.ValuesPath("alliance.ingressGateway"), &wanted); err != nil {
			return err
		}
		service, _, err := only[*ingressgateway.Service](in, "service")
		if err != nil {
			return err
		}
		nodes, err := snapshot[ingressgateway.Node](in, "nodes")
		if err != nil {
			return err
		}
		found, missing := ingressgateway.Addresses(wanted, service, nodes)
		if missing != "" {
			if found, err = publishedAddresses(in); err != nil {
				return err
			}
			if len(found) > 0 {
				in.Logger.Warn("the ingress gateway has no address now, the published addresses are retained", "why", missing, "addresses", found)
			} else {
				in.Logger.Warn("the ingress gateway has no address to publish, peers cannot reach this cluster's services", "why", missing)
			}
		}
		addresses = append(addresses, found...)
	}
	in.Values.Set(ingressGatewaysPath, addresses)
	return nil
}

// publishedAddresses returns the addresses published so far: by this process,
// else by the last one.
func publishedAddresses(in *sdk.HookInput) ([]metadata.IngressGateway, error) {
	var known []metadata.IngressGateway
	if err := settings(in, ingressGatewaysPath, &known); err != nil || len(known) > 0 {
		return known, err
	}
	document, _, err := only[string](in, "published")
	if err != nil || document == "" {
		return nil, err
	}
	if err := json.Unmarshal([]byte(document), &known); err != nil {
		// Any administrator may have edited it.
		in.Logger.Warn("cannot read ingress-gateways.json of ConfigMap d8-istio/metadata-exporter, it is ignored", "error", err.Error())
		return nil, nil
	}
	return slices.DeleteFunc(known, func(gateway metadata.IngressGateway) bool { return gateway.Check() != nil }), nil
}
