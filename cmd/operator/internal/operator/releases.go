package operator

import (
	"slices"

	"github.com/deckhouse/deckhouse/pkg/log"
	"github.com/flant/addon-operator/pkg/helm"
	"github.com/flant/addon-operator/pkg/helm/client"
)

// retainOtherReleases hides from addon-operator the Helm releases that are not of
// its modules. When it starts it removes each release in its namespace whose module
// is not on, also those that it has never known: one of them installed the operator
// itself. (It has an option for one such release, which v1.24.4 does not hand to Helm.)
func retainOtherReleases(factory *helm.ClientFactory, isModule func(name string) bool) {
	newClient := factory.NewClientFn
	factory.NewClientFn = func(logger *log.Logger, labels map[string]string) client.HelmClient {
		return releasesOfModules{HelmClient: newClient(logger, labels), isModule: isModule}
	}
}

// releasesOfModules is a client that lists no other releases than those of modules.
type releasesOfModules struct {
	client.HelmClient
	isModule func(name string) bool
}

func (r releasesOfModules) ListReleasesNames() ([]string, error) {
	names, err := r.HelmClient.ListReleasesNames()
	return slices.DeleteFunc(names, func(name string) bool { return !r.isModule(name) }), err
}
