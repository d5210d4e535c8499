package hooks

import (
	"maps"
	"slices"
	"strings"

	sdk "github.com/deckhouse/module-sdk/pkg"
	"github.com/deckhouse/module-sdk/pkg/metric/operation"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/names"
	"github.com/deckhouse-mesh/istio/lib/trustanchor"
)

const (
	// anchorsSecret in the operator's namespace stores the anchors, so that
	// a restart does not change what every proxy trusts.
	anchorsSecret    = "istio-trust-anchors"
	anchorsSecretKey = "anchors.pem"

	anchorsMetricsGroup = "istio_trust_anchors"
	anchorsMetric       = "d8_istio_federation_trust_anchors"
)

var (
	// ownRootsPath is what hook ca wrote: every root that this cluster itself trusts.
	ownRootsPath = names.ValuesPath("internal.ca.root")
)

// setAnchors gives every accepted peer the anchors that replace its roots. The
// discovery hooks report in the resource's status why a root is not trusted.
func setAnchors(in *sdk.HookInput, federations []trustedPeer, multiclusters []multiclusterPeer) error {
	data, err := secret(in, "anchors")
	if err != nil {
		return err
	}
	stored := string(data[anchorsSecretKey])
	issued := []string{stored}
	// The values have what was issued while the snapshot does not have it yet.
	for _, path := range []string{federationsPath, multiclustersPath} {
		var last []trustedPeer
		if err := settings(in, path, &last); err != nil {
			return err
		}
		for _, peer := range last {
			issued = append(issued, peer.Anchors...)
		}
	}

	var peers []trustanchor.Peer
	var trusted []*trustedPeer
	add := func(name string, peer *trustedPeer) {
		peers = append(peers, trustanchor.Peer{Name: name, TrustDomain: peer.TrustDomain, RootCA: peer.RootCA})
		trusted = append(trusted, peer)
	}
	for index := range multiclusters { // no IstioFederation has a slash in its name
		add(v1alpha1.IstioMulticlusterKind+"/"+multiclusters[index].Name, &multiclusters[index].trustedPeer)
	}
	for index := range federations {
		add(federations[index].Name, &federations[index])
	}
	outcome, err := trustanchor.Reconcile(peers, in.Values.Get(ownRootsPath).String(), strings.Join(issued, "\n"), in.DC.GetClock().Now())
	if err != nil {
		return err
	}
	in.MetricsCollector.Expire(anchorsMetricsGroup)
	for index, peer := range peers {
		trusted[index].Anchors = outcome.Anchors[peer.Name]
	}
	for _, federation := range federations {
		in.MetricsCollector.Set(anchorsMetric, float64(len(federation.Anchors)), map[string]string{"name": federation.Name}, operation.WithGroup(anchorsMetricsGroup))
	}
	for _, name := range slices.Sorted(maps.Keys(outcome.Rejected)) {
		in.Logger.Warn("some of a peer's roots are not trusted", "peer", name, "error", outcome.Rejected[name].Error())
	}
	if outcome.Issued > 0 {
		in.Logger.Info("trust anchors were issued", "count", outcome.Issued)
	}
	storeAnchors(in, stored, outcome.Stored)
	return nil
}

// storeAnchors writes the Secret, or deletes it when there are no anchors.
func storeAnchors(in *sdk.HookInput, stored, wanted string) {
	inSnapshot := len(in.Snapshots.Get("anchors")) > 0
	switch {
	case wanted == "" && inSnapshot:
		in.PatchCollector.DeleteInBackground("v1", "Secret", names.OperatorNamespace, anchorsSecret)
	case wanted != stored:
		storeSecret(in, inSnapshot, anchorsSecret, secretData{anchorsSecretKey: []byte(wanted)})
	}
}
