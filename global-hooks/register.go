// Package globalhooks supplies, outside of Deckhouse, the facts about the
// cluster that Deckhouse would: the global values that templates and hooks read.
package globalhooks

import (
	"github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

// Options are what a person may state about the cluster instead of it being
// found out; the zero value states nothing.
type Options struct {
	// ClusterDomain of this cluster's Services; empty: found in the cluster.
	ClusterDomain string
	// ImageRegistry is the repository of the modules' images.
	ImageRegistry string
	// ImagesDigests is a file with the digests of the module's images.
	ImagesDigests string
	// RegistrySecret in RegistrySecretNamespace has the credentials for pulling them.
	RegistrySecret, RegistrySecretNamespace string
	// IstioVersions are the full versions of Istio in those images; empty: those of this release of the module.
	IstioVersions []string
}

// Hooks returns every global hook.
func Hooks(options Options) []hookruntime.Hook {
	return []hookruntime.Hook{
		clusterConfiguration(options.ClusterDomain),
		clusterUUID(),
		kubernetesVersion(),
		controlPlane(),
		enabledModules(),
		modulesImages(options.ImageRegistry, options.ImagesDigests),
		registryCredentials(options.RegistrySecretNamespace, options.RegistrySecret, options.ImageRegistry),
		istioVersions(options.IstioVersions),
	}
}

// Register registers the hooks with the addon-operator linked into this
// program. Call it once, before the operator starts.
func Register(options Options, dc pkg.DependencyContainer) {
	hookruntime.RegisterGlobalWithAddonOperator(Hooks(options), dc)
}
