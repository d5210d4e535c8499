package hooks

import (
	"context"
	"slices"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/discovery"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

// joinDiscovery is the hook that asks the peers of one kind, and the only judge
// of their answers; it writes the outcome into status. It is woken by the
// watcher of metadata-exporter (a value in the kind's ConfigMap), by changes of a
// spec, by a person (an annotation), and every minute whatever happens. It alone
// runs in its queue: no peer can hold up anything else of the module.
func joinDiscovery[R, S any](name, queue string, kind joinKind[R, S], client peerClient) hookruntime.Hook {
	visited, remembered := &visits{known: map[string]visitKey{}}, &decodedJoins[R]{statuses: decodings[R]{unpack: kind.unpack}}
	return hookruntime.Hook{
		Name: name,
		Config: sdk.HookConfig{
			Queue:    queue,
			Schedule: []sdk.ScheduleConfig{{Name: "every_minute", Crontab: "* * * * *"}},
			Kubernetes: []sdk.KubernetesConfig{
				{
					Name:       kind.plural,
					APIVersion: v1alpha1.APIVersion,
					Kind:       kind.kind,
					JqFilter: `{
						metadata: {
							name: .metadata.name, uid: .metadata.uid,
							generation: .metadata.generation, creationTimestamp: .metadata.creationTimestamp,
							annotations: {
								"` + v1alpha1.RefreshAnnotation + `": (.metadata.annotations["` + v1alpha1.RefreshAnnotation + `"] // ""),
								"` + v1alpha1.AcceptIdentityAnnotation + `": (.metadata.annotations["` + v1alpha1.AcceptIdentityAnnotation + `"] // "")
							}
						},
						spec: .spec,
						known: (.status.metadataCache.public != null)
					}`,
				},
				// Apart, so that this hook's own writes do not wake it.
				kind.statuses(),
				kind.revisionsBinding(),
				kind.otherKind,
				secretBinding("keypair", operatorNamespace, authnSecret),
				apiServersBinding(),
			},
		},
		Run: func(ctx context.Context, in *sdk.HookInput) error {
			if err := presentClientCertificate(in, client); err != nil {
				return err
			}
			return kind.discover(ctx, in, client, visited, remembered)
		},
	}
}

func (k joinKind[R, S]) discover(ctx context.Context, in *sdk.HookInput, client discovery.Getter, visited *visits, remembered *decodedJoins[R]) error {
	resources, err := k.withStatus(in, remembered)
	if err != nil {
		return err
	}
	now := in.DC.GetClock().Now()
	in.MetricsCollector.Expire(k.metricsGroup)
	if !in.Values.Get(k.enabledPath).Bool() {
		return k.sayDisabled(in, resources, now)
	}

	statuses, err := k.askPeers(ctx, in, client, resources, visited, now)
	if err != nil {
		return err
	}
	seen := make([]sighting, 0, len(resources))
	for _, resource := range resources {
		shows := k.show(&resource)
		status := statuses[shows.meta.Name]
		wrote, err := k.writeStatus(in, resource, visited.current(k.sight(resource)), status)
		if err != nil {
			return err
		}
		*shows.status = status
		seen = append(seen, k.sight(resource))
		visited.shows(seen[len(seen)-1], wrote)
		k.report(in, shows.meta.Name, status, now)
	}
	visited.forgetOthers(seen)
	return nil
}

func (k joinKind[R, S]) askPeers(ctx context.Context, in *sdk.HookInput, client discovery.Getter, resources []R, visited *visits, now time.Time) (map[string]S, error) {
	this, err := self(in)
	if err != nil {
		return nil, err
	}
	if this.Network, err = ownNetwork(in); err != nil {
		return nil, err
	}
	keypair, err := secret(in, "keypair")
	if err != nil {
		return nil, err
	}
	elsewhere, err := k.claims(in, this, k.otherKind.Name)
	if err != nil {
		return nil, err
	}
	revisions, err := readRevisions(in)
	if err != nil {
		return nil, err
	}
	asked := slices.Clone(resources)
	for index := range asked {
		if visited.stale(k.sight(asked[index])) {
			// The snapshot does not have our last write yet, or it failed: ask without conditions and write all of it.
			shows := k.show(&asked[index])
			*shows.publicETag, *shows.privateETag = "", ""
		}
	}
	discoverer := discovery.Discoverer{Client: client, Self: this, PrivateKey: string(keypair["priv.pem"]), Now: now, Elsewhere: elsewhere}
	return k.ask(discoverer, ctx, asked, func(resource R) bool {
		sight := k.sight(resource)
		sight.revision = revisions[k.show(&resource).meta.Name]
		return visited.due(sight, len(keypair) > 0, now)
	}, func(resource R, waited time.Duration) {
		visited.took(k.sight(resource), waited)
	}), nil
}

// decodedJoins remembers what the two bindings were decoded to.
type decodedJoins[R any] struct {
	resources, statuses decodings[R]
}

// withStatus joins the snapshot that wakes the hook with the one that does not.
func (k joinKind[R, S]) withStatus(in *sdk.HookInput, remembered *decodedJoins[R]) ([]R, error) {
	resources, err := remembered.resources.snapshot(in, k.plural)
	if err != nil {
		return nil, err
	}
	found, err := remembered.statuses.snapshot(in, "statuses")
	if err != nil {
		return nil, err
	}
	byUID := make(map[string]shown[S], len(found))
	for index := range found {
		shows := k.show(&found[index])
		byUID[string(shows.meta.UID)] = shows
	}
	for index := range resources {
		shows := k.show(&resources[index])
		if last, known := byUID[string(shows.meta.UID)]; known {
			*shows.status, shows.meta.ResourceVersion = *last.status, last.meta.ResourceVersion
		}
	}
	return resources, nil
}
