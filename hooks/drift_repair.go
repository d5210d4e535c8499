package hooks

import (
	"context"
	"fmt"
	"strings"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"
	"github.com/deckhouse/module-sdk/pkg/metric/operation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/drift"
	"github.com/deckhouse-mesh/istio/lib/healthcheck"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/names"
)

const (
	// repairAnnotation of namespace d8-istio has internal.repair, so that the manifests differ when Helm has to restore something.
	repairAnnotation = "istio.deckhouse.io/repair"

	driftMetricsGroup = "drift_repair"
	driftMetric       = "d8_istio_drifted_objects"
	// contestedEvent is the reason of the Event about an object that another program writes again and again.
	contestedEvent = "ObjectContested"
)

var repairPath = names.ValuesPath("internal.repair")

// driftRepair has Helm restore at once what was deleted or edited of what
// drift.Release lists: while a webhook is missing, Pods start outside the mesh,
// and nothing reports it.
func driftRepair() hookruntime.Hook {
	return hookruntime.Hook{
		Name: "drift_repair",
		Config: sdk.HookConfig{
			Queue: "/modules/istio/drift",
			// A program that writes an object again and again, against Helm, must not occupy the operator.
			Settings: &sdk.HookConfigSettings{ExecutionMinInterval: 15 * time.Second, ExecutionBurst: 50},
			// What was edited while no operator ran.
			Schedule: []sdk.ScheduleConfig{{Name: "every_five_minutes", Crontab: "*/5 * * * *"}},
			Kubernetes: []sdk.KubernetesConfig{
				writtenObjects("mutating_webhooks", "admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"),
				writtenObjects("validating_webhooks", "admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
				inModuleNamespace(writtenObjects("deployments", "apps/v1", "Deployment")),
				inModuleNamespace(writtenObjects("services", "v1", "Service")),
				inModuleNamespace(writtenObjects("config_maps", "v1", "ConfigMap")),
				inModuleNamespace(writtenObjects("secrets", "v1", "Secret")),
				// What the last process requested.
				withoutEvents(sdk.KubernetesConfig{
					Name:         "namespace",
					APIVersion:   "v1",
					Kind:         "Namespace",
					NameSelector: named(names.Namespace),
					JqFilter:     `.metadata.annotations["` + repairAnnotation + `"] // ""`,
				}),
			},
		},
		Run: runDriftRepair,
	}
}

// writtenObjects subscribes to the module's objects of a kind; its snapshot is a
// drift.Object. A restart with kubectl is no edit, and the number of Pods belongs to the
// autoscaler. What metadata-watcher reports, many times a second when peers change so
// often, changes nothing in the snapshot, unless it makes the ConfigMap unwritable.
func writtenObjects(binding, apiVersion, kind string) sdk.KubernetesConfig {
	filled, unwritable := `false`, `""`
	if kind == "ConfigMap" {
		filled = `(.metadata.name | IN("` + strings.Join(drift.Filled(), `", "`) + `"))`
		unwritable = `if $filled then ` + unwritableFilter + ` else "" end`
	}
	return sdk.KubernetesConfig{
		Name:          binding,
		APIVersion:    apiVersion,
		Kind:          kind,
		LabelSelector: &metav1.LabelSelector{MatchLabels: names.ModuleLabels()},
		JqFilter: filled + ` as $filled | {
			kind: "` + kind + `",
			name: .metadata.name,
			unwritable: (` + unwritable + `),
			writers: [.metadata.managedFields[]? | select((.subresource // "") == "") | {
				manager: (.manager // ""),
				label: (.fieldsV1["f:metadata"]["f:labels"]["f:heritage"] != null),
				content: (($filled | not) and ([
					.fieldsV1 | {"f:webhooks", "f:data", "f:binaryData", "f:spec"} | paths(. == {}) | select(
						.[-1] != "."
						and . != ["f:spec", "f:replicas"]
						and . != ["f:spec", "f:template", "f:metadata", "f:annotations", "f:kubectl.kubernetes.io/restartedAt"]
					)
				] | length > 0)),
				time: (.time // "")
			} | select(.label or .content) | if .label then .time = "" else . end]
		}`,
	}
}

func inModuleNamespace(binding sdk.KubernetesConfig) sdk.KubernetesConfig {
	binding.NamespaceSelector = inNamespace(names.Namespace)
	return binding
}

func runDriftRepair(ctx context.Context, in *sdk.HookInput) error {
	wanted, err := wantedObjects(in)
	if err != nil {
		return err
	}
	var rendered []string
	if err := settings(in, renderedPath, &rendered); err != nil {
		return err
	}
	present, err := snapshot[drift.Object](in, "mutating_webhooks", "validating_webhooks", "deployments", "services", "config_maps", "secrets")
	if err != nil {
		return err
	}
	former, err := formerRepair(in)
	if err != nil {
		return err
	}
	for _, object := range drift.Unwritable(wanted, rendered, present) {
		in.Logger.Warn("an object of the module cannot be written any more; it is deleted, and Helm creates it again",
			"object", object.Key(), "reason", object.Unwritable)
		in.PatchCollector.Delete("v1", object.Kind, names.Namespace, object.Name)
	}
	found := drift.Find(wanted, rendered, present)
	repair := drift.Next(former, found, in.DC.GetClock().Now())
	in.MetricsCollector.Expire(driftMetricsGroup)
	for _, deviation := range found {
		in.MetricsCollector.Set(driftMetric, 1, map[string]string{"object": deviation.Object, "by": deviation.By}, operation.WithGroup(driftMetricsGroup))
		switch {
		case repair == former: // reported before
		case deviation.Absent():
			in.Logger.Warn("an object of the module was deleted, or lost the module's labels; Helm restores it", "object", deviation.Object)
		default:
			in.Logger.Warn("an object of the module was edited, Helm restores it", "object", deviation.Object, "by", deviation.By)
		}
	}
	reportContested(ctx, in, drift.Contested(repair, found, in.DC.GetClock().Now()))
	in.Values.Set(repairPath, repair)
	return nil
}

// reportContested says once of each object that another program writes again and
// again which one it is: it is restored seldom from then on.
func reportContested(ctx context.Context, in *sdk.HookInput, contested []drift.Deviation) {
	for _, deviation := range contested {
		report(ctx, in, moduleConfigEvent(contestedEvent, fmt.Sprintf(
			"%s of the module is written again and again by the field manager %q, and is restored at most twice an hour from now on: "+
				"configure that program to leave the object alone, or stop it.", deviation.Object, deviation.By)))
	}
}

// formerRepair is what this process requested, or the last one.
func formerRepair(in *sdk.HookInput) (string, error) {
	if former := in.Values.Get(repairPath).String(); former != "" {
		return former, nil
	}
	former, _, err := only[string](in, "namespace")
	return former, err
}

// wantedObjects lists what the templates render of the values.
func wantedObjects(in *sdk.HookInput) ([]string, error) {
	var versions []installedVersion
	if err := settings(in, versionsPath, &versions); err != nil {
		return nil, err
	}
	release := drift.Release{
		DefaultRevision: in.Values.Get(defaultRevisionPath).String(),
		Federation:      federationKind().enabled(in),
		Multicluster:    multiclusterKind().enabled(in),
		Healthcheck:     in.Values.Get(healthcheckEnabledPath).Bool() && healthcheck.Hostname(in.Values.Get("global.discovery.clusterUUID").String(), "") != "",
	}
	for _, version := range versions {
		release.Revisions = append(release.Revisions, version.Revision)
	}
	if err := settings(in, webhookRevisionsPath, &release.WebhookRevisions); err != nil {
		return nil, err
	}
	return release.Objects(), nil
}
