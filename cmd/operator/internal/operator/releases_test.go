package operator

import (
	"testing"

	"github.com/deckhouse/deckhouse/pkg/log"
	"github.com/flant/addon-operator/pkg/helm"
	"github.com/flant/addon-operator/pkg/helm/client"
	. "github.com/onsi/gomega"
)

// listedReleases is a Helm client that knows the names of releases.
type listedReleases struct {
	client.HelmClient
	names []string
}

func (l listedReleases) ListReleasesNames() ([]string, error) { return l.names, nil }

func TestReleasesOfOthersAreNotTakenForModulesThatAreGone(t *testing.T) {
	g := NewWithT(t)
	factory := &helm.ClientFactory{NewClientFn: func(*log.Logger, map[string]string) client.HelmClient {
		return listedReleases{names: []string{"istio", "istio-operator", "monitoring"}}
	}}
	retainOtherReleases(factory, func(name string) bool { return name == "istio" })
	g.Expect(factory.NewClient(log.NewNop()).ListReleasesNames()).To(Equal([]string{"istio"}))
}
