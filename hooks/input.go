package hooks

import (
	"encoding/json"
	"fmt"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/discovery"
	"github.com/deckhouse-mesh/istio/lib/names"
)

var (
	federationEnabledPath   = names.ValuesPath("federation.enabled")
	multiclusterEnabledPath = names.ValuesPath("multicluster.enabled")
)

// snapshot decodes every object of the bindings. An object that cannot be decoded is an error: the filters are ours.
func snapshot[T any](in *sdk.HookInput, bindings ...string) ([]T, error) {
	var objects []T
	for _, binding := range bindings {
		for _, found := range in.Snapshots.Get(binding) {
			var object T
			if err := found.UnmarshalTo(&object); err != nil {
				return nil, fmt.Errorf("decode snapshot %q: %w", binding, err)
			}
			objects = append(objects, object)
		}
	}
	return objects, nil
}

// only decodes the object of a binding to a single one; the zero value where it does not exist.
func only[T any](in *sdk.HookInput, binding string) (object T, exists bool, err error) {
	objects, err := snapshot[T](in, binding)
	if err != nil || len(objects) == 0 {
		return object, false, err
	}
	return objects[0], true, nil
}

// settings decodes the values below path; it leaves target alone where there are none.
func settings(in *sdk.HookInput, path string, target any) error {
	value, ok := in.Values.GetOk(path)
	if !ok {
		return nil
	}
	if err := json.Unmarshal([]byte(value.Raw), target); err != nil {
		return fmt.Errorf("decode values %s: %w", path, err)
	}
	return nil
}

// self is this cluster, from the facts that Deckhouse or global-hooks supply.
func self(in *sdk.HookInput) (discovery.Self, error) {
	known := discovery.Self{
		TrustDomain: in.Values.Get("global.discovery.clusterDomain").String(),
		ClusterUUID: in.Values.Get("global.discovery.clusterUUID").String(),
	}
	if known.TrustDomain == "" || known.ClusterUUID == "" {
		return known, fmt.Errorf("values global.discovery.clusterDomain (%q) and clusterUUID (%q) are needed", known.TrustDomain, known.ClusterUUID)
	}
	return known, nil
}

// allianceEnabled is true when peers of either kind are possible.
func allianceEnabled(in *sdk.HookInput) bool {
	return federationKind().enabled(in) || multiclusterKind().enabled(in)
}
