package hooks

import (
	"maps"
	"slices"
	"strings"

	sdk "github.com/deckhouse/module-sdk/pkg"
	"github.com/deckhouse/module-sdk/pkg/metric/operation"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/trustanchor"
)

const (
	// anchorsSecret in the operator's namespace remembers the anchors, so that
	// a restart does not change what every proxy trusts.
	anchorsSecret    = "istio-trust-anchors"
	anchorsSecretKey = "anchors.pem"

	// ownRootsPath is what hook ca wrote: every root that this cluster itself goes by.
	ownRootsPath = "istio.internal.ca.root"

	anchorsMetricsGroup = "istio_trust_anchors"
	anchorsMetric       = "d8_istio_federation_trust_anchors"
)

// setAnchors gives every accepted peer the anchors that stand for its roots.
// Why a root is not honoured is said in the resource's status, by federation_discovery.
func setAnchors(in *sdk.HookInput, federations []trustedFederation, multiclusters []meshedCluster) error {
	data, err := secret(in, "anchors")
	if err != nil {
		return err
	}
	kept := string(data[anchorsSecretKey])
	remembered := []string{kept}
	// The values know what was issued while the snapshot does not show it yet.
	var last []trustedFederation
	if err := settings(in, federationsPath, &last); err != nil {
		return err
	}
	for _, federation := range last {
		remembered = append(remembered, federation.Anchors...)
	}

	var lastMeshed []meshedCluster
	if err := settings(in, multiclustersPath, &lastMeshed); err != nil {
		return err
	}
	for _, cluster := range lastMeshed {
		remembered = append(remembered, cluster.Anchors...)
	}

	peers := make([]trustanchor.Peer, 0, len(federations)+len(multiclusters))
	for _, cluster := range multiclusters {
		peers = append(peers, trustanchor.Peer{Name: meshedName(cluster.Name), TrustDomain: cluster.TrustDomain, RootCA: cluster.RootCA})
	}
	for _, federation := range federations {
		peers = append(peers, trustanchor.Peer{Name: federation.Name, TrustDomain: federation.TrustDomain, RootCA: federation.RootCA})
	}
	outcome, err := trustanchor.Reconcile(peers, in.Values.Get(ownRootsPath).String(), strings.Join(remembered, "\n"), in.DC.GetClock().Now())
	if err != nil {
		return err
	}
	in.MetricsCollector.Expire(anchorsMetricsGroup)
	for index := range federations {
		anchors := outcome.Anchors[federations[index].Name]
		federations[index].Anchors = anchors
		in.MetricsCollector.Set(anchorsMetric, float64(len(anchors)), map[string]string{"name": federations[index].Name}, operation.WithGroup(anchorsMetricsGroup))
	}
	for _, name := range slices.Sorted(maps.Keys(outcome.Rejected)) {
		in.Logger.Warn("some of a peer's roots are not honoured", "peer", name, "error", outcome.Rejected[name].Error())
	}
	for index := range multiclusters {
		multiclusters[index].Anchors = outcome.Anchors[meshedName(multiclusters[index].Name)]
	}
	if outcome.Issued > 0 {
		in.Logger.Info("trust anchors were issued", "count", outcome.Issued)
	}
	keepAnchors(in, kept, outcome.Kept)
	return nil
}

// meshedName tells an IstioMulticluster from the IstioFederation of the same name, which has no slash in it.
func meshedName(name string) string { return v1alpha1.IstioMulticlusterKind + "/" + name }

// keepAnchors makes the Secret what it should be; without anchors there is none.
func keepAnchors(in *sdk.HookInput, kept, wanted string) {
	shown := len(in.Snapshots.Get("anchors")) > 0
	switch {
	case wanted == "" && shown:
		in.PatchCollector.DeleteInBackground("v1", "Secret", operatorNamespace, anchorsSecret)
	case wanted != kept:
		keep(in, shown, anchorsSecret, map[string][]byte{anchorsSecretKey: []byte(wanted)})
	}
}
