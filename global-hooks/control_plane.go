package globalhooks

import (
	"context"

	"github.com/deckhouse/module-sdk/pkg"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

// controlPlane says whether the control plane is highly available: modules
// follow it unless the setting highAvailability decides.
func controlPlane() hookruntime.Hook {
	return hookruntime.Hook{
		Name: "control_plane",
		Config: pkg.HookConfig{
			Kubernetes: []pkg.KubernetesConfig{{
				Name:       "control_plane_nodes",
				APIVersion: "v1",
				Kind:       "Node",
				LabelSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
					{Key: "node-role.kubernetes.io/control-plane", Operator: metav1.LabelSelectorOpExists},
				}},
				// The name only: a node's heartbeat is not a change.
				JqFilter: `.metadata.name`,
			}},
		},
		Run: func(_ context.Context, in *pkg.HookInput) error {
			nodes := len(in.Snapshots.Get("control_plane_nodes"))
			set(in, "global.discovery.clusterControlPlaneIsHighlyAvailable", highlyAvailable(nodes))
			return nil
		},
	}
}

// highlyAvailable is Deckhouse's rule: more than one control plane node.
func highlyAvailable(controlPlaneNodes int) bool { return controlPlaneNodes > 1 }
