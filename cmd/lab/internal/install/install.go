// Package install puts the module on a cluster as a user would: it applies the
// operator's manifests and the ModuleConfigs, and makes clusters peers with the
// module's own resources. Every wait has a deadline, and its error says what was
// not ready and why.
package install

import (
	"cmp"
	"time"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/pki"
	"github.com/deckhouse-mesh/istio/lib/names"
)

const (
	// moduleNamespace is where the module installs everything.
	moduleNamespace = names.Namespace

	// stepTimeout bounds each wait of an installation; a loaded two-core machine needs a fraction of it.
	stepTimeout = 5 * time.Minute
)

// Cluster that the module is installed on.
type Cluster struct {
	Clients *kube.Clients
	// Image of the operator, by the reference that its node pulls.
	Image string
	// ImagesDigests, when not empty, takes the place of the operator's own file:
	// the digest of each image of the module, JSON as in images_digests.json.
	ImagesDigests []byte
	// Arguments of the operator besides its defaults, --log-level=debug for example.
	Arguments []string
	// HooksAreProcesses is true where none is linked into the operator.
	HooksAreProcesses bool
	// ModuleName is that of the module in the operator's image; empty is istio.
	ModuleName string
	// PublicDomainTemplate yields the names of web addresses, "%s.cluster-a.lab" for
	// example; Certificate is good for them and Authority, PEM, has issued it.
	PublicDomainTemplate string
	Certificate          pki.Pair
	Authority            []byte
	// StockEnvoy is true where the proxies' Envoy lacks Istio's extensions.
	StockEnvoy bool
	// Settings are spec.settings of the module's ModuleConfig.
	Settings map[string]any
}

// module is its name.
func (c *Cluster) module() string { return cmp.Or(c.ModuleName, names.Embedded) }

// Note reports what a wait is for at the moment; it may be called with the same words again.
type Note func(waitingFor string)
