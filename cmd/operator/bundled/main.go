// Command bundled is the operator without a hook of the module in it: as in
// Deckhouse, the module's folder has them as one binary, which is started for each
// run. The lab runs the bundle with it.
package main

import (
	"os"

	"github.com/deckhouse-mesh/istio/cmd/operator/internal/cli"
)

func main() {
	os.Exit(cli.Execute(os.Args[1:], nil))
}
