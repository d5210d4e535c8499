package hooks

import (
	"context"
	"errors"
	"fmt"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/retry"

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
			if err != nil {
				return err
			}
			return retry.RetryOnConflict(retry.DefaultBackoff, func() error { return writeClusterLocalHosts(ctx, in, hosts) })
		},
	}
}

// writeClusterLocalHosts has the mesh configurations name the hosts at once. One that cannot be read as such is left to
// Helm. An error means that the hook has to run again: Helm renders what it has released last where a label goes before
// it has run for it, and so would leave the host there.
//
// They are read from the API server for the same reason: a snapshot may be older than what the last run wrote.
func writeClusterLocalHosts(ctx context.Context, in *sdk.HookInput, hosts []string) error {
	configurations, err := readMeshConfigurations(ctx, in)
	if err != nil {
		return err
	}
	var failed []error
	for _, configuration := range configurations {
		if configuration.Mesh == "" {
			continue // another ConfigMap of istiod's
		}
		mesh, err := meshconfig.WithClusterLocalHosts(configuration.Mesh, hosts)
		if err != nil {
			in.Logger.Warn("cluster-local hosts cannot be written into the mesh configuration at once, Helm will replace it",
				"configMap", configuration.Name, "error", err.Error())
			continue
		}
		if mesh == configuration.Mesh {
			continue
		}
		err = writeMeshConfiguration(ctx, in, configuration, mesh, names.ClusterLocalFieldManager, nil)
		if err != nil && !apierrors.IsNotFound(err) {
			failed = append(failed, fmt.Errorf("write cluster-local hosts into ConfigMap %s: %w", configuration.Name, err))
		}
	}
	return errors.Join(failed...)
}
