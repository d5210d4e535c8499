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
func setAnchors(in *sdk.HookInput, federations []trustedFederation, multiclusters []multiclusterPeer) error {
	data, err := secret(in, "anchors")
	if err != nil {
		return err
	}
	stored := string(data[anchorsSecretKey])
	issued := []string{stored}
	// The values have what was issued while the snapshot does not have it yet.
	var last []trustedFederation
	if err := settings(in, federationsPath, &last); err != nil {
		return err
	}
	for _, federation := range last {
		issued = append(issued, federation.Anchors...)
	}
	var lastMulticlusters []multiclusterPeer
	if err := settings(in, multiclustersPath, &lastMulticlusters); err != nil {
		return err
	}
	for _, cluster := range lastMulticlusters {
		issued = append(issued, cluster.Anchors...)
	}

	peers := make([]trustanchor.Peer, 0, len(federations)+len(multiclusters))
	for _, cluster := range multiclusters {
		peers = append(peers, trustanchor.Peer{Name: multiclusterName(cluster.Name), TrustDomain: cluster.TrustDomain, RootCA: cluster.RootCA})
	}
	for _, federation := range federations {
		peers = append(peers, trustanchor.Peer{Name: federation.Name, TrustDomain: federation.TrustDomain, RootCA: federation.RootCA})
	}
	outcome, err := trustanchor.Reconcile(peers, in.Values.Get(ownRootsPath).String(), strings.Join(issued, "\n"), in.DC.GetClock().Now())
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
		in.Logger.Warn("some of a peer's roots are not trusted", "peer", name, "error", outcome.Rejected[name].Error())
	}
	for index := range multiclusters {
		multiclusters[index].Anchors = outcome.Anchors[multiclusterName(multiclusters[index].Name)]
	}
	if outcome.Issued > 0 {
		in.Logger.Info("trust anchors were issued", "count", outcome.Issued)
	}
	storeAnchors(in, stored, outcome.Stored)
	return nil
}

// multiclusterName differs from the name of any IstioFederation, which has no slash in it.
func multiclusterName(name string) string { return v1alpha1.IstioMulticlusterKind + "/" + name }

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
