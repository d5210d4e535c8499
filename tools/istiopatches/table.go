package main

import (
	"fmt"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
)

// moduleTable reads the module's table: what is run, not the Go modules.
func moduleTable() ([]row, error) {
	var table []row
	for _, v := range istioversion.All() {
		ours, ok := parseRelease(v.Full())
		if !ok {
			return nil, fmt.Errorf("read lib/istioversion/versions.yaml: %q is not a release of Istio", v.Full())
		}
		table = append(table, row{ours, v.EndOfLife})
	}
	return table, nil
}
