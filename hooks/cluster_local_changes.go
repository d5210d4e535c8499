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
			Kubernetes: clusterLocalBindings(),
		},
		Run: func(ctx context.Context, in *sdk.HookInput) error {
			hosts, _, err := setClusterLocalHosts(in)
			if err == nil {
				writeClusterLocalHosts(ctx, in, hosts)
			}
			return err
		},
	}
}

// writeClusterLocalHosts has the mesh configurations name the hosts at once. What it cannot write is left to Helm.
//
// They are read from the API server: a snapshot may be older than what the last run wrote, and a host that it took for
// absent would stay where its label goes before Helm has run, because Helm then renders what it has released last.
func writeClusterLocalHosts(ctx context.Context, in *sdk.HookInput, hosts []string) {
	configurations, err := readMeshConfigurations(ctx, in)
	if err != nil {
		in.Logger.Warn("cluster-local hosts could not be written into the mesh configuration at once, Helm will do it", "error", err.Error())
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
}
