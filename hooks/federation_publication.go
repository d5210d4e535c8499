package hooks

import (
	"context"
	"maps"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"
	corev1 "k8s.io/api/core/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/publicservices"
)

// maxPublicationEvents of one namespace: a tenant must not fill etcd with Events.
const maxPublicationEvents = 20

// federationPublication reports to the owner of a labelled Service, by an Event on
// it, why the Service or some of its ports are not published. metadata-exporter,
// which has no right to write, decides with the same function what is published.
func federationPublication() hookruntime.Hook {
	reported := map[string]bool{}
	return hookruntime.Hook{
		Name: "federation_publication",
		Config: sdk.HookConfig{
			Queue: "/modules/istio/federation-publication",
			// Events are for people: a burst of changes is judged once.
			Settings: &sdk.HookConfigSettings{ExecutionMinInterval: 5 * time.Second, ExecutionBurst: 2},
			Kubernetes: []sdk.KubernetesConfig{{
				Name:          "services",
				APIVersion:    "v1",
				Kind:          "Service",
				LabelSelector: labelled(v1alpha1.PublicServiceLabel),
				JqFilter: `{
					metadata: {
						name: .metadata.name, namespace: .metadata.namespace, uid: .metadata.uid,
						creationTimestamp: .metadata.creationTimestamp, deletionTimestamp: .metadata.deletionTimestamp,
						labels: {"` + v1alpha1.PublicServiceLabel + `": .metadata.labels["` + v1alpha1.PublicServiceLabel + `"]},
						annotations: {
							"` + publicservices.AccountsAnnotation + `": (.metadata.annotations["` + publicservices.AccountsAnnotation + `"] // ""),
							"` + publicservices.ExportToAnnotation + `": (.metadata.annotations["` + publicservices.ExportToAnnotation + `"] // "")
						}
					},
					spec: {
						type: .spec.type, internalTrafficPolicy: .spec.internalTrafficPolicy,
						ports: [.spec.ports[]? | {name: .name, port: .port, protocol: .protocol, appProtocol: .appProtocol}]
					}
				}`,
			}},
		},
		Run: func(ctx context.Context, in *sdk.HookInput) error { return runFederationPublication(ctx, in, reported) },
	}
}

// runFederationPublication reports each rejection once: reported is what this
// process has reported of Services that are still rejected.
func runFederationPublication(ctx context.Context, in *sdk.HookInput, reported map[string]bool) error {
	if !federationKind().enabled(in) {
		clear(reported)
		return nil
	}
	this, err := self(in)
	if err != nil {
		return err
	}
	services, err := snapshot[corev1.Service](in, "services")
	if err != nil {
		return err
	}
	var gateways []metadata.IngressGateway
	if err := settings(in, ingressGatewaysPath, &gateways); err != nil {
		return err
	}
	candidates := make([]*publicservices.Candidate, len(services))
	for index := range services {
		if candidates[index], err = publicservices.NewCandidate(&services[index], this.TrustDomain); err != nil {
			return err
		}
	}
	document, err := publicservices.NewDocument(candidates, gateways, nil, nil)
	if err != nil {
		return err
	}
	now := make(map[string]bool, len(document.Rejections))
	for _, rejection := range publicservices.Named(document.Rejections, maxPublicationEvents) {
		event := objectWarning(corev1.ObjectReference{
			APIVersion: "v1", Kind: "Service", Namespace: rejection.Namespace, Name: rejection.Name, UID: rejection.UID,
		}, "NotPublished"+rejection.Reason, rejection.String())
		key := event.Namespace + "/" + event.Name
		if now[key] = true; !reported[key] {
			report(ctx, in, event)
		}
	}
	clear(reported)
	maps.Copy(reported, now)
	return nil
}
