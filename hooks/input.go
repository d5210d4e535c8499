package hooks

import (
	"encoding/json"
	"fmt"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/discovery"
)

const (
	// operatorNamespace is where Deckhouse, and this module's own operator outside of it, keep their Secrets.
	operatorNamespace = "d8-system"

	federationEnabledPath   = "istio.federation.enabled"
	multiclusterEnabledPath = "istio.multicluster.enabled"
)

// no can be pointed at.
var no = false

// snapshot decodes every object of a binding. An object that cannot be decoded is an error: the filter is ours.
func snapshot[T any](in *sdk.HookInput, binding string) ([]T, error) {
	found := in.Snapshots.Get(binding)
	objects := make([]T, len(found))
	for index, object := range found {
		if err := object.UnmarshalTo(&objects[index]); err != nil {
			return nil, fmt.Errorf("decode snapshot %q: %w", binding, err)
		}
	}
	return objects, nil
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

// allianceEnabled is true when clusters are joined in either way.
func allianceEnabled(in *sdk.HookInput) bool {
	return in.Values.Get(federationEnabledPath).Bool() || in.Values.Get(multiclusterEnabledPath).Bool()
}

func inNamespace(name string) *sdk.NamespaceSelector {
	return &sdk.NamespaceSelector{NameSelector: &sdk.NameSelector{MatchNames: []string{name}}}
}

func named(name string) *sdk.NameSelector {
	return &sdk.NameSelector{MatchNames: []string{name}}
}

// secretBinding subscribes to one Secret; its snapshot is a secretData.
func secretBinding(binding, namespace, name string) sdk.KubernetesConfig {
	return sdk.KubernetesConfig{
		Name:              binding,
		APIVersion:        "v1",
		Kind:              "Secret",
		NamespaceSelector: inNamespace(namespace),
		NameSelector:      named(name),
		JqFilter:          `.data // {}`,
	}
}

// secretData is the data of a Secret, decoded from base64 by encoding/json.
type secretData map[string][]byte

// secret returns the data of a binding made by secretBinding; nil when the Secret does not exist.
func secret(in *sdk.HookInput, binding string) (secretData, error) {
	found, err := snapshot[secretData](in, binding)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}

// federationsBinding subscribes to what decisions about IstioFederations need
// besides conditions and timestamps, which change too often to act upon.
func federationsBinding() sdk.KubernetesConfig {
	return sdk.KubernetesConfig{
		Name:       "federations",
		APIVersion: v1alpha1.APIVersion,
		Kind:       v1alpha1.IstioFederationKind,
		JqFilter: `{
			metadata: {name: .metadata.name, uid: .metadata.uid, creationTimestamp: .metadata.creationTimestamp},
			spec: {trustDomain: .spec.trustDomain, import: (.spec.import // [])},
			status: {metadataCache: {trustDomain: .status.metadataCache.trustDomain, public: .status.metadataCache.public, private: .status.metadataCache.private}}
		}`,
	}
}
