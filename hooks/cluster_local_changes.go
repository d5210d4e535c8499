package hooks

import (
	"context"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/meshconfig"
	"github.com/deckhouse-mesh/istio/lib/names"
)

// clusterLocalChanges writes the hosts into the mesh configurations when labels change, and has Helm run, which
// does the same and takes seconds, or longer where other releases are ahead of it. It is a hook of its own because
// addon-operator applies the limit to every run of a hook, and waits for those before
// Helm in queue main: whoever may label Services would hold up all releases.
func clusterLocalChanges() hookruntime.Hook {
	return hookruntime.Hook{
		Name: "cluster_local_changes",
		Config: sdk.HookConfig{
			Queue: "/modules/istio/cluster-local-services",
			// Each change is a Helm release, and a push to every proxy of the mesh.
			Settings:   &sdk.HookConfigSettings{ExecutionMinInterval: 10 * time.Second, ExecutionBurst: 4},
			Kubernetes: append(clusterLocalBindings(), withoutEvents(meshConfigurationsBinding())),
		},
		Run: func(ctx context.Context, in *sdk.HookInput) error {
			hosts, _, err := setClusterLocalHosts(in)
			if err != nil {
				return err
			}
			return writeClusterLocalHosts(ctx, in, hosts)
		},
	}
}

// writeClusterLocalHosts has the mesh configurations name the hosts at once. What it cannot write is left to Helm.
func writeClusterLocalHosts(ctx context.Context, in *sdk.HookInput, hosts []string) error {
	configurations, err := snapshot[meshConfiguration](in, "mesh-configurations")
	if err != nil {
		return err
	}
	for _, configuration := range configurations {
		if configuration.Mesh == "" {
			continue // another ConfigMap of istiod's
		}
		mesh, err := meshconfig.WithClusterLocalHosts(configuration.Mesh, hosts)
		if err == nil && mesh != configuration.Mesh {
			err = writeMeshConfiguration(ctx, in, configuration, mesh, names.ClusterLocalFieldManager, nil)
		}
		if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			in.Logger.Warn("cluster-local hosts could not be written into the mesh configuration at once, Helm will do it",
				"configMap", configuration.Name, "error", err.Error())
		}
	}
	return nil
}
