package hooks

import (
	"context"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/meshconfig"
)

const clusterLocalHostsPath = "istio.internal.clusterLocalHosts"

// clusterLocalServices finds the Services and namespaces that people exclude from the mesh over several clusters.
func clusterLocalServices() hookruntime.Hook {
	return hookruntime.Hook{
		Name: "cluster_local_services",
		Config: sdk.HookConfig{
			OnBeforeHelm: at(orderFacts),
			Queue:        "/modules/istio/cluster-local-services",
			// Each change is a Helm release, and a push to every proxy of the mesh.
			Settings: &sdk.HookConfigSettings{ExecutionMinInterval: 10 * time.Second, ExecutionBurst: 4},
			Kubernetes: []sdk.KubernetesConfig{
				{
					Name:          "services",
					APIVersion:    "v1",
					Kind:          "Service",
					LabelSelector: labelled(v1alpha1.ClusterLocalLabel),
					JqFilter:      `{namespace: .metadata.namespace, name: .metadata.name}`,
				},
				{
					Name:          "namespaces",
					APIVersion:    "v1",
					Kind:          "Namespace",
					LabelSelector: labelled(v1alpha1.ClusterLocalLabel),
					JqFilter:      `.metadata.name`,
				},
			},
		},
		Run: runClusterLocalServices,
	}
}

func runClusterLocalServices(_ context.Context, in *sdk.HookInput) error {
	hosts := []string{}
	if multiclusterKind().enabled(in) {
		this, err := self(in)
		if err != nil {
			return err
		}
		services, err := snapshot[meshconfig.Service](in, "services")
		if err != nil {
			return err
		}
		namespaces, err := snapshot[string](in, "namespaces")
		if err != nil {
			return err
		}
		hosts = meshconfig.ClusterLocalHosts(services, namespaces, this.TrustDomain)
	}
	in.Values.Set(clusterLocalHostsPath, hosts)
	return nil
}
