package hooks

import (
	"cmp"
	"context"

	sdk "github.com/deckhouse/module-sdk/pkg"
	"github.com/deckhouse/module-sdk/pkg/metric/operation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/meshconfig"
	"github.com/deckhouse-mesh/istio/lib/names"
)

const (
	istiodMetricsGroup = "istiod_health"
	istiodReadyMetric  = "d8_istio_istiod_ready"
)

var (
	webhookRevisionsPath = names.ValuesPath("internal.webhookRevisions")
	defaultRevisionPath  = names.ValuesPath("internal.defaultRevision")
)

// istiodHealth lets webhooks point to an istiod of the installed versions once it is ready.
func istiodHealth() hookruntime.Hook {
	return hookruntime.Hook{
		Name: "istiod_health",
		Config: sdk.HookConfig{
			OnBeforeHelm: at(orderIstiodHealth),
			Queue:        "/modules/istio/istiod-health",
			Kubernetes: []sdk.KubernetesConfig{
				{
					Name:              "istiods",
					APIVersion:        "v1",
					Kind:              "Pod",
					NamespaceSelector: inNamespace(names.Namespace),
					LabelSelector:     &metav1.LabelSelector{MatchLabels: map[string]string{"app": "istiod"}},
					JqFilter: `{
						revision: (.metadata.labels["` + revisionLabel + `"] // ""),
						ready: (.metadata.deletionTimestamp == null and ([.status.conditions[]? | select(.type == "Ready" and .status == "True")] | length > 0))
					}`,
				},
				// What the last process decided.
				webhooksBinding("webhooks", mutatingWebhookKind),
			},
		},
		Run: runIstiodHealth,
	}
}

func runIstiodHealth(_ context.Context, in *sdk.HookInput) error {
	var versions []installedVersion
	if err := settings(in, versionsPath, &versions); err != nil {
		return err
	}
	pods, err := snapshot[meshconfig.Istiod](in, "istiods")
	if err != nil {
		return err
	}
	before, err := formerWebhooks(in)
	if err != nil {
		return err
	}
	revisions := make([]string, len(versions))
	for index, version := range versions {
		revisions[index] = version.Revision
	}
	judged := meshconfig.WebhookTargets(revisions, in.Values.Get(globalRevisionPath).String(), pods, before)

	in.MetricsCollector.Expire(istiodMetricsGroup)
	ready := meshconfig.Ready(revisions, pods)
	for _, version := range versions {
		in.MetricsCollector.Set(istiodReadyMetric, gauge(ready[version.Revision]),
			map[string]string{"revision": version.Revision, "version": version.Version}, operation.WithGroup(istiodMetricsGroup))
	}
	if now := judged.DefaultRevision; now != in.Values.Get(defaultRevisionPath).String() {
		in.Logger.Info("the default revision of Istio changes", "from", before.DefaultRevision, "to", now)
	}
	in.Values.Set(webhookRevisionsPath, judged.Revisions)
	in.Values.Set(defaultRevisionPath, judged.DefaultRevision)
	return nil
}

// formerWebhooks returns where webhooks have pointed so far, as decided by this
// process or the last one.
func formerWebhooks(in *sdk.HookInput) (meshconfig.Webhooks, error) {
	before := meshconfig.Webhooks{DefaultRevision: in.Values.Get(defaultRevisionPath).String()}
	if err := settings(in, webhookRevisionsPath, &before.Revisions); err != nil {
		return before, err
	}
	webhooks, err := snapshot[webhookConfiguration](in, "webhooks")
	if err != nil {
		return before, err
	}
	revisions, byDefault := injectors(webhooks)
	before.Revisions = append(before.Revisions, revisions...)
	before.DefaultRevision = cmp.Or(before.DefaultRevision, byDefault)
	return before, nil
}
