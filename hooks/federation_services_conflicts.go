package hooks

import (
	"context"
	"fmt"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/federation"
	"github.com/deckhouse-mesh/istio/lib/names"
)

// nameConflicts remembers which names were reported to belong to another owner's
// object, so that each is reported when it is found and not in every run. It is an
// optimisation: a process that remembers nothing reports once more. It is not safe
// for concurrent use.
type nameConflicts struct {
	reported map[string]bool
}

func (c *nameConflicts) report(ctx context.Context, in *sdk.HookInput, conflicts []federation.Object) error {
	found := make(map[string]bool, len(conflicts))
	var peers map[string]v1alpha1.IstioFederation
	for _, object := range conflicts {
		key := object.Kind + "/" + object.Name
		found[key] = true
		if c.reported[key] {
			continue
		}
		if peers == nil {
			resources, err := snapshot[v1alpha1.IstioFederation](in, "federations")
			if err != nil {
				return err
			}
			peers = make(map[string]v1alpha1.IstioFederation, len(resources))
			for _, resource := range resources {
				peers[resource.Name] = resource
			}
		}
		in.Logger.Error("an object of that name was not made by the module; rename or delete it",
			"kind", object.Kind, "namespace", names.Namespace, "name", object.Name, "wantedFor", object.Peer)
		event := warning(v1alpha1.IstioFederationKind, object.Peer, "NameTaken", fmt.Sprintf(
			"A service is not imported: %s %s/%s was not made by the module; rename or delete it.", object.Kind, names.Namespace, object.Name))
		event.InvolvedObject.UID = peers[object.Peer].UID
		report(ctx, in, event)
	}
	c.reported = found
	return nil
}
