package globalhooks

import (
	"context"
	"fmt"

	"github.com/deckhouse/module-sdk/pkg"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/discovery"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

// kubernetesVersion publishes the API server's version. It asks again before
// every convergence and every ten minutes: an upgrade has no event.
func kubernetesVersion() hookruntime.Hook {
	return hookruntime.Hook{
		Name: "kubernetes_version",
		Config: pkg.HookConfig{
			OnBeforeHelm: &pkg.OrderedConfig{Order: 10},
			Schedule:     []pkg.ScheduleConfig{{Name: "upgrades", Crontab: "*/10 * * * *"}},
		},
		Run: func(_ context.Context, in *pkg.HookInput) error {
			config, err := in.DC.GetClientConfig()
			if err != nil {
				return err
			}
			api, err := discovery.NewDiscoveryClientForConfig(config)
			if err != nil {
				return fmt.Errorf("make a client to ask for the version of Kubernetes: %w", err)
			}
			info, err := api.ServerVersion()
			if err != nil {
				return fmt.Errorf("ask the API server for its version: %w", err)
			}
			full, short, err := versions(info.GitVersion)
			if err != nil {
				return err
			}
			set(in, "global.discovery.kubernetesVersion", full)
			set(in, "global.clusterConfiguration.kubernetesVersion", short)
			return nil
		},
	}
}

// versions returns "1.34.3" and "1.34" for what an API server calls itself,
// "v1.34.3", "v1.34.3+k3s1" or "v1.34.3-gke.100".
func versions(gitVersion string) (full, short string, err error) {
	parsed, err := version.ParseGeneric(gitVersion)
	if err != nil {
		return "", "", fmt.Errorf("read the API server's version: %w", err)
	}
	return fmt.Sprintf("%d.%d.%d", parsed.Major(), parsed.Minor(), parsed.Patch()),
		fmt.Sprintf("%d.%d", parsed.Major(), parsed.Minor()), nil
}
