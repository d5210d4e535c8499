// Command operator runs the module on a Kubernetes cluster without Deckhouse:
// addon-operator with the module's hooks linked in, set up by ModuleConfigs.
package main

import (
	"os"

	"github.com/deckhouse-mesh/istio/cmd/operator/internal/cli"
	"github.com/deckhouse-mesh/istio/modules/110-istio/hooks"
)

func main() {
	os.Exit(cli.Execute(os.Args[1:], hooks.Register))
}
