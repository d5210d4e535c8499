package hooks

import (
	"context"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

// clusterLocalChanges has Helm run when labels change. It is a hook of its own because
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
		Run: func(_ context.Context, in *sdk.HookInput) error {
			_, err := setClusterLocalHosts(in)
			return err
		},
	}
}
