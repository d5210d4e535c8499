package hooks

import (
	"context"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/deckhouse-mesh/istio/lib/meshconfig"
	"github.com/deckhouse-mesh/istio/lib/names"
)

// withdrawnAnnotation of a mesh configuration is when a hook has last removed trust from it, before Helm did. Helm
// renders the same (internal.trustWithdrawn): else a manifest that trusts a peer as before, because the peer came back
// meanwhile, would equal that of the last release, and Helm would not write what is missing.
const withdrawnAnnotation = "istio.deckhouse.io/trust-withdrawn"

// withdrawnFormat of the annotation is finer than a Helm run is long.
const withdrawnFormat = "2006-01-02T15:04:05.000Z07:00"

var (
	trustWithdrawnPath = names.ValuesPath("internal.trustWithdrawn")
	configMapResource  = corev1.SchemeGroupVersion.WithResource("configmaps")
)

// withdrawTrust removes from the mesh configurations at once what the peers do not warrant any more; Helm, which
// takes seconds, then finds it so. It only ever removes. What it cannot or must not remove is left to Helm, so a
// failure here is none of the run, which would hold Helm back.
func withdrawTrust(ctx context.Context, in *sdk.HookInput, federations []trustedPeer, multiclusters []multiclusterPeer) error {
	configurations, err := snapshot[meshConfiguration](in, "mesh-configurations")
	if err != nil {
		return err
	}
	now := in.DC.GetClock().Now().UTC()
	last := lastWithdrawn(in.Values.Get(trustWithdrawnPath).String(), configurations, now)
	wanted := wantedCertificates(federations, multiclusters)
	for _, configuration := range configurations {
		without, withdrawn, err := meshconfig.Withdraw(configuration.Mesh, wanted)
		if err == nil && withdrawn > 0 {
			err = writeMeshConfiguration(ctx, in, configuration, without, names.TrustWithdrawalFieldManager,
				map[string]string{withdrawnAnnotation: now.Format(withdrawnFormat)})
		}
		switch {
		case apierrors.IsConflict(err) || apierrors.IsNotFound(err):
			// Helm has written it meanwhile. That is an event, of which this hook is run again.
		case err != nil:
			in.Logger.Warn("trust could not be withdrawn from the mesh configuration at once, Helm will do it",
				"configMap", configuration.Name, "error", err.Error())
		case withdrawn > 0:
			last = now.Format(withdrawnFormat)
			in.Logger.Info("trust was withdrawn from the mesh configuration", "configMap", configuration.Name, "certificates", withdrawn)
		}
	}
	in.Values.Set(trustWithdrawnPath, last)
	return nil
}

// wantedCertificates are the caCertificates that the templates render of these values.
func wantedCertificates(federations []trustedPeer, multiclusters []multiclusterPeer) []meshconfig.CACertificate {
	var wanted []meshconfig.CACertificate
	for _, federation := range federations {
		for _, anchor := range federation.Anchors {
			wanted = append(wanted, meshconfig.CACertificate{PEM: anchor, TrustDomains: []string{federation.TrustDomain}})
		}
	}
	for _, cluster := range multiclusters {
		for _, anchor := range cluster.Anchors {
			wanted = append(wanted, meshconfig.CACertificate{PEM: anchor})
		}
	}
	return wanted
}

// lastWithdrawn is the latest of what the values have and what the ConfigMaps say, in case the operator ended between
// the two. What is no time, or in the future, is not of this hook.
func lastWithdrawn(last string, configurations []meshConfiguration, now time.Time) string {
	for _, configuration := range configurations {
		if written, err := time.Parse(withdrawnFormat, configuration.Withdrawn); err == nil && !written.After(now) {
			last = max(last, written.UTC().Format(withdrawnFormat))
		}
	}
	return last
}
