package hooks

import (
	"fmt"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/federation"
)

// takenNames remembers which names were said to belong to somebody else, so that
// each is said when it is found and not in every run. It is an economy: a process
// that knows nothing says it once more. It is not safe for concurrent use.
type takenNames struct {
	told map[string]bool
}

func (t *takenNames) say(in *sdk.HookInput, taken []federation.Object) error {
	now := make(map[string]bool, len(taken))
	var peers map[string]v1alpha1.IstioFederation
	for _, object := range taken {
		key := object.Kind + "/" + object.Name
		now[key] = true
		if t.told[key] {
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
		in.Logger.Error("an object of that name belongs to somebody else; rename or delete it",
			"kind", object.Kind, "namespace", v1alpha1.Namespace, "name", object.Name, "wantedFor", object.Peer)
		event := warning(v1alpha1.IstioFederationKind, object.Peer, "NameTaken", fmt.Sprintf(
			"A service is not imported: %s %s/%s was made by somebody else; rename or delete it.", object.Kind, v1alpha1.Namespace, object.Name),
			in.DC.GetClock().Now())
		event.InvolvedObject.UID = peers[object.Peer].UID
		in.PatchCollector.CreateIfNotExists(event)
	}
	t.told = now
	return nil
}
