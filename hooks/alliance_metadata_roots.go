package hooks

import (
	"bytes"
	"slices"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/peers"
)

const (
	// peerRootsSecret in the operator's namespace remembers which peer named which root. It stays when all peers
	// are deleted, since a certificate under a root that two named must not become proof of the one that is left.
	peerRootsSecret    = "istio-peer-roots"
	peerRootsSecretKey = "roots.json"
)

// setSharedRoots says in each entry which of its roots are not the peer's alone. last are the entries of the run
// before: they count also while the snapshot does not have yet what that run stored.
func setSharedRoots(in *sdk.HookInput, entries, last map[string]peers.Entry) error {
	data, err := secret(in, "peer-roots")
	if err != nil {
		return err
	}
	named, err := peers.ParseNamedRoots(data[peerRootsSecretKey])
	if err != nil {
		// Only a person can have written that. A hook that failed would withdraw no trust any more.
		in.Logger.Error("the memory of peers' roots cannot be read and starts anew", "secret", peerRootsSecret, "error", err.Error())
		named = peers.NamedRoots{}
	}
	naming, err := namingEntries(in)
	if err != nil {
		return err
	}
	ownRoots := in.Values.Get(ownRootsPath).String()
	if len(naming)+len(last)+len(named) > 0 {
		named.Name(peers.ThisCluster, ownRoots)
	}
	for _, entry := range last {
		named.Name(entry.Owner(), entry.RootCA)
	}
	for _, entry := range naming {
		named.Name(entry.Owner(), entry.RootCA)
	}
	for clusterUUID, entry := range entries {
		entry.SharedRoots = named.Shared(entry.Owner(), entry.RootCA)
		entries[clusterUUID] = entry
	}
	return storePeerRoots(in, data[peerRootsSecretKey], named)
}

// namingEntries has every resource that knows its peer's roots, accepted or not.
func namingEntries(in *sdk.HookInput) ([]peers.Entry, error) {
	federations, err := snapshot[v1alpha1.IstioFederation](in, "federations")
	if err != nil {
		return nil, err
	}
	multiclusters, err := snapshot[v1alpha1.IstioMulticluster](in, "multiclusters")
	if err != nil {
		return nil, err
	}
	var entries []peers.Entry
	for _, resource := range slices.Concat(v1alpha1.Peers(federations), v1alpha1.Peers(multiclusters)) {
		if resource.PeerCache().Public != nil {
			entries = append(entries, entryOf(resource, ""))
		}
	}
	return entries, nil
}

func storePeerRoots(in *sdk.HookInput, stored []byte, named peers.NamedRoots) error {
	if len(named) == 0 {
		return nil
	}
	wanted, err := named.Encode()
	if err != nil {
		return err
	}
	if !bytes.Equal(wanted, stored) {
		storeSecret(in, len(in.Snapshots.Get("peer-roots")) > 0, peerRootsSecret, secretData{peerRootsSecretKey: wanted})
	}
	return nil
}
