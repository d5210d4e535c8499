// Package peerkinds is the flag with the kinds of the resources that name peers.
package peerkinds

import (
	"fmt"
	"slices"

	"github.com/spf13/pflag"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

const flag = "watch-kinds"

// AddFlag defines --watch-kinds; purpose ends the sentence "kinds of the resources".
func AddFlag(flags *pflag.FlagSet, kinds *[]string, purpose string) {
	flags.StringSliceVar(kinds, flag, []string{v1alpha1.IstioFederationKind}, fmt.Sprintf("kinds of the resources %s: %s, %s",
		purpose, v1alpha1.IstioFederationKind, v1alpha1.IstioMulticlusterKind))
}

// Check returns an error that names an unknown kind.
func Check(kinds []string) error {
	known := []string{v1alpha1.IstioFederationKind, v1alpha1.IstioMulticlusterKind}
	for _, kind := range kinds {
		if !slices.Contains(known, kind) {
			return fmt.Errorf("--%s: %q is not one of %v", flag, kind, known)
		}
	}
	return nil
}
