package hooks

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"
	"github.com/deckhouse/module-sdk/pkg/metric/operation"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/injection"
	"github.com/deckhouse-mesh/istio/lib/istioversion"
	"github.com/deckhouse-mesh/istio/lib/names"
	"github.com/deckhouse-mesh/istio/lib/versionplan"
)

const (
	kubernetesVersionPath = "global.discovery.kubernetesVersion"
	// imagesContainPath lists full versions of Istio; outside Deckhouse only, and only for images of other patches than the table's.
	imagesContainPath = "global.modulesImages.istioVersions"

	versionsMetricsGroup      = "istio_versions"
	versionRefusedMetric      = "d8_istio_version_setting_refused"
	versionKeptMetric         = "d8_istio_version_kept_in_use"
	revisionUnavailableMetric = "d8_istio_version_unavailable_in_use"
	versionDeprecatedMetric   = "d8_istio_version_deprecated"
	versionEndOfLifeMetric    = "d8_istio_version_end_of_life_timestamp_seconds"
	kubernetesMismatchMetric  = "d8_istio_version_kubernetes_unsupported"
	versionRefusedEvent       = "IstioVersionRefused"
	versionInUseEvent         = "IstioVersionInUse"
	revisionUnavailableEvent  = "IstioRevisionUnavailable"
	sidecarUnclearEvent       = "IstioSidecarUnclear"
	versionEndOfLifeEvent     = "IstioVersionEndOfLife"
	webhookTakenOverEvent     = "IstioWebhookTakenOver"
)

var (
	versionsPath           = names.ValuesPath("internal.versions")
	globalRevisionPath     = names.ValuesPath("internal.globalRevision")
	globalVersionPath      = names.ValuesPath("globalVersion")
	additionalVersionsPath = names.ValuesPath("additionalVersions")
	heldBackPath           = names.ValuesPath("internal.heldBack")
)

// installedVersion is one entry of the values internal.versions.
type installedVersion struct {
	Version     string `json:"version"`
	Revision    string `json:"revision"`
	FullVersion string `json:"fullVersion"`
	ImageSuffix string `json:"imageSuffix"`
	// RestartOnReplacedKubeconfig: istiod must be restarted when the kubeconfig of a remote cluster is replaced.
	RestartOnReplacedKubeconfig bool `json:"restartOnReplacedKubeconfig"`
}

// istioVersions decides which versions of Istio are installed: those of the
// settings, and those in use. Pods do not wake it: within a minute it finds that a
// version is not in use any more.
func istioVersions() hookruntime.Hook {
	return hookruntime.Hook{
		Name: "istio_versions",
		Config: sdk.HookConfig{
			OnBeforeHelm: at(orderVersions),
			Queue:        "/modules/istio/versions",
			Schedule:     []sdk.ScheduleConfig{everyMinute},
			Kubernetes: []sdk.KubernetesConfig{
				namespacesBinding(),
				podsBinding(),
				webhooksBinding("webhooks", mutatingWebhookKind),
				webhooksBinding("validators", validatingWebhookKind),
				withoutEvents(sdk.KubernetesConfig{
					Name:              "control_planes",
					APIVersion:        "apps/v1",
					Kind:              "Deployment",
					NamespaceSelector: inNamespace(names.Namespace),
					JqFilter:          `.metadata.name`,
				}),
			},
		},
		Run: runIstioVersions,
	}
}

func runIstioVersions(ctx context.Context, in *sdk.HookInput) error {
	webhooks, err := snapshot[webhookConfiguration](in, "webhooks")
	if err != nil {
		return err
	}
	validators, err := snapshot[webhookConfiguration](in, "validators")
	if err != nil {
		return err
	}
	present, err := presentVersions(in, webhooks)
	if err != nil {
		return err
	}
	wanted := versionplan.Settings{GlobalVersion: in.Values.Get(globalVersionPath).String()}
	if err := settings(in, additionalVersionsPath, &wanted.AdditionalVersions); err != nil {
		return err
	}
	plan := versionplan.Decide(wanted, present)
	versions, err := toInstall(in, plan.Versions)
	if err != nil {
		return err
	}
	in.Values.Set(versionsPath, versions)
	in.Values.Set(globalRevisionPath, plan.GlobalRevision)
	in.Values.Set(heldBackPath, heldBack(plan))

	reportVersions(in, plan)
	for _, notice := range slices.Concat(planNotices(plan), endOfLifeNotices(plan, in.DC.GetClock().Now()), takeoverNotices(webhooks, validators)) {
		// The log repeats it every minute; the Event, which exists once, is for people.
		in.Logger.Info(notice.message, "reason", notice.reason)
		report(ctx, in, moduleConfigEvent(notice.reason, notice.message))
	}
	return nil
}

// toInstall describes the versions for the templates.
func toInstall(in *sdk.HookInput, wanted []istioversion.Version) ([]installedVersion, error) {
	var images []string
	if err := settings(in, imagesContainPath, &images); err != nil {
		return nil, err
	}
	versions := make([]installedVersion, len(wanted))
	for index, version := range wanted {
		full := istioversion.Running(version, images)
		restart, err := istioversion.NeedsRestartOnReplacedKubeconfig(full)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", imagesContainPath, err)
		}
		versions[index] = installedVersion{version.Version, version.Revision(), full, version.ImageSuffix(), restart}
	}
	return versions, nil
}

// heldBack is why the templates must render nothing; empty when they may.
func heldBack(plan versionplan.Plan) string {
	if len(plan.Stranded) == 0 {
		return ""
	}
	return fmt.Sprintf("nothing is changed, because istiod of revision %s is in use and this release of the module cannot install it: %s",
		strings.Join(plan.Stranded, ", "), rejectionOf(plan))
}

// presentVersions reads what is installed and used.
func presentVersions(in *sdk.HookInput, webhooks []webhookConfiguration) (versionplan.Present, error) {
	var present versionplan.Present
	namespaces, err := snapshot[injection.Namespace](in, "namespaces")
	if err != nil {
		return present, err
	}
	pods, err := snapshot[versionplan.Pod](in, "pods")
	if err != nil {
		return present, err
	}
	deployments, err := snapshot[string](in, "control_planes")
	if err != nil {
		return present, err
	}
	for _, name := range deployments {
		if revision, ok := names.IstiodRevision(name); ok {
			present.Revisions = append(present.Revisions, revision)
		}
	}
	revisions, byDefault := injectors(webhooks)
	// Webhooks survive a Deployment that is deleted by hand.
	present.Revisions = append(present.Revisions, revisions...)
	// In a new process, the webhooks show which revision the settings wanted last.
	present.GlobalRevision = cmp.Or(in.Values.Get(globalRevisionPath).String(), byDefault)
	present.Usage = versionplan.Observe(namespaces, pods, byDefault)
	return present, nil
}

func reportVersions(in *sdk.HookInput, plan versionplan.Plan) {
	inGroup := operation.WithGroup(versionsMetricsGroup)
	in.MetricsCollector.Expire(versionsMetricsGroup)
	in.MetricsCollector.Set(versionRefusedMetric, gauge(plan.Rejected != nil), nil, inGroup)
	kubernetes := in.Values.Get(kubernetesVersionPath).String()
	for _, version := range plan.Versions {
		labels := map[string]string{"version": version.Version, "revision": version.Revision()}
		in.MetricsCollector.Set(versionDeprecatedMetric, gauge(version.Status == istioversion.Deprecated), labels, inGroup)
		in.MetricsCollector.Set(versionEndOfLifeMetric, float64(version.EndOfLife.At().Unix()), map[string]string{
			"version": version.Version, "revision": version.Revision(), "date": version.EndOfLife.String(),
		}, inGroup)
		if kubernetes == "" {
			continue
		}
		runs, err := version.RunsOn(kubernetes)
		if err != nil {
			in.Logger.Error("cannot determine whether Istio supports this Kubernetes version", "istio", version.Version, "values", kubernetesVersionPath, "error", err.Error())
			continue
		}
		in.MetricsCollector.Set(kubernetesMismatchMetric, gauge(!runs), map[string]string{
			"version": version.Version, "revision": version.Revision(), "kubernetes": kubernetes,
			"supported": version.Kubernetes.Min + "–" + version.Kubernetes.Max,
		}, inGroup)
	}
	for _, retained := range plan.Retained {
		in.MetricsCollector.Set(versionKeptMetric, float64(len(retained.Users)),
			map[string]string{"version": retained.Version.Version, "revision": retained.Version.Revision()}, inGroup)
	}
	for _, lost := range plan.Unavailable {
		in.MetricsCollector.Set(revisionUnavailableMetric, float64(len(lost.Users)), map[string]string{"revision": lost.Revision}, inGroup)
	}
}

// notice is an Event for the person who changes the settings.
type notice struct{ reason, message string }

// planNotices say what differs from the settings, and what to do.
func planNotices(plan versionplan.Plan) []notice {
	var notices []notice
	if plan.Rejected != nil {
		notices = append(notices, notice{versionRefusedEvent, "settings rejected, the installed versions of Istio are retained: " + rejectionOf(plan)})
	}
	for _, retained := range plan.Retained {
		notices = append(notices, notice{versionInUseEvent, fmt.Sprintf(
			"Istio %s is not in the settings and stays installed, because it is used by %s: give the namespaces or Pods another revision and restart the Pods, or add %s to additionalVersions",
			retained.Version.Version, versionplan.Name(retained.Users), retained.Version.Version)})
	}
	for _, unclear := range plan.Unclear {
		notices = append(notices, notice{sidecarUnclearEvent, fmt.Sprintf(
			"Istio %s is not in the settings and stays installed, because the sidecars of %s may be of this version: restart the Pods whose annotation sidecar.istio.io/status names no revision",
			unclear.Version.Version, versionplan.Name(unclear.Users))})
	}
	for _, lost := range plan.Unavailable {
		notices = append(notices, notice{revisionUnavailableEvent, fmt.Sprintf(
			"revision %s of Istio is used by %s, and this release of the module cannot install it: give the namespaces or Pods a revision of %s and restart the Pods",
			lost.Revision, versionplan.Name(lost.Users), strings.Join(istioversion.Names(), ", "))})
	}
	return notices
}

// rejectionOf is what is wrong with the settings, in one line.
func rejectionOf(plan versionplan.Plan) string {
	return strings.ReplaceAll(plan.Rejected.Error(), "\n", "; ")
}

// endOfLifeNotices warn of installed versions whose end of life is near or past.
func endOfLifeNotices(plan versionplan.Plan, now time.Time) []notice {
	var notices []notice
	for _, version := range plan.Versions {
		if warning := version.LifeWarning(now); warning != "" {
			notices = append(notices, notice{versionEndOfLifeEvent, warning})
		}
	}
	return notices
}

// takeoverNotices report another Istio's webhooks for Pods that name no revision.
// There is one configuration of each name in a cluster, and Helm replaces it by
// the module's when istiod is ready.
func takeoverNotices(webhooks, validators []webhookConfiguration) []notice {
	var notices []notice
	warn := func(kind, name string, configurations []webhookConfiguration) {
		for _, found := range configurations {
			if found.Name == name && found.foreign() {
				notices = append(notices, notice{webhookTakenOverEvent, fmt.Sprintf(
					"%s %s belongs to another Istio in namespace %s, and the module replaces it: give what that Istio serves a revision of its own, or uninstall it",
					kind, name, strings.Join(found.Namespaces, ", "))})
			}
		}
	}
	warn(mutatingWebhookKind, names.DefaultInjector, webhooks)
	warn(validatingWebhookKind, names.DefaultValidator, validators)
	return notices
}
