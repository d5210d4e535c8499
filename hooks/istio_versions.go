package hooks

import (
	"context"
	"fmt"
	"strings"
	"sync"

	sdk "github.com/deckhouse/module-sdk/pkg"
	"github.com/deckhouse/module-sdk/pkg/metric/operation"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/injection"
	"github.com/deckhouse-mesh/istio/lib/installation"
	"github.com/deckhouse-mesh/istio/lib/istioversion"
)

const (
	versionsPath           = "istio.internal.versions"
	globalRevisionPath     = "istio.internal.globalRevision"
	globalVersionPath      = "istio.globalVersion"
	additionalVersionsPath = "istio.additionalVersions"
	kubernetesVersionPath  = "global.discovery.kubernetesVersion"

	versionsMetricsGroup      = "istio_versions"
	versionRefusedMetric      = "d8_istio_version_setting_refused"
	versionKeptMetric         = "d8_istio_version_kept_in_use"
	revisionUnavailableMetric = "d8_istio_version_unavailable_in_use"
	versionDeprecatedMetric   = "d8_istio_version_deprecated"
	kubernetesMismatchMetric  = "d8_istio_version_kubernetes_unsupported"
	versionRefusedEvent       = "IstioVersionRefused"
	versionInUseEvent         = "IstioVersionInUse"
	revisionUnavailableEvent  = "IstioRevisionUnavailable"
)

// installedVersion is one entry of the values internal.versions.
type installedVersion struct {
	Version     string `json:"version"`
	Revision    string `json:"revision"`
	FullVersion string `json:"fullVersion"`
	ImageSuffix string `json:"imageSuffix"`
}

// istioVersions decides which versions of Istio are installed: those of the
// settings, and those in use. Pods do not wake it: that nobody uses a version any
// more is found out within a minute.
func istioVersions() hookruntime.Hook {
	said := &sayings{}
	return hookruntime.Hook{
		Name: "istio_versions",
		Config: sdk.HookConfig{
			OnBeforeHelm: &sdk.OrderedConfig{Order: 11},
			Queue:        "/modules/istio/versions",
			Schedule:     []sdk.ScheduleConfig{{Name: "every_minute", Crontab: "* * * * *"}},
			Kubernetes: []sdk.KubernetesConfig{
				namespacesBinding(),
				podsBinding(),
				defaultWebhookBinding(),
				{
					Name:                         "control_planes",
					APIVersion:                   "apps/v1",
					Kind:                         "Deployment",
					NamespaceSelector:            inNamespace(v1alpha1.Namespace),
					JqFilter:                     `.metadata.name`,
					ExecuteHookOnEvents:          &no,
					ExecuteHookOnSynchronization: &no,
				},
			},
		},
		Run: func(_ context.Context, in *sdk.HookInput) error { return runIstioVersions(in, said) },
	}
}

func runIstioVersions(in *sdk.HookInput, said *sayings) error {
	present, err := presentVersions(in)
	if err != nil {
		return err
	}
	wanted := installation.Settings{GlobalVersion: in.Values.Get(globalVersionPath).String()}
	if err := settings(in, additionalVersionsPath, &wanted.AdditionalVersions); err != nil {
		return err
	}
	plan := installation.Decide(wanted, present)
	if err := reportVersions(in, plan); err != nil {
		return err
	}
	said.warn(in, sentences(plan))

	versions := make([]installedVersion, len(plan.Versions))
	for index, version := range plan.Versions {
		versions[index] = installedVersion{version.Version, version.Revision(), version.Full(), version.ImageSuffix()}
	}
	in.Values.Set(versionsPath, versions)
	in.Values.Set(globalRevisionPath, plan.GlobalRevision)
	return nil
}

// presentVersions reads what is installed and used.
func presentVersions(in *sdk.HookInput) (installation.Present, error) {
	var present installation.Present
	namespaces, err := snapshot[injection.Namespace](in, "namespaces")
	if err != nil {
		return present, err
	}
	pods, err := snapshot[installation.Pod](in, "pods")
	if err != nil {
		return present, err
	}
	deployments, err := snapshot[string](in, "control_planes")
	if err != nil {
		return present, err
	}
	for _, name := range deployments {
		if revision, ok := strings.CutPrefix(name, "istiod-"); ok {
			present.Revisions = append(present.Revisions, revision)
		}
	}
	byDefault, err := defaultWebhookRevision(in)
	if err != nil {
		return present, err
	}
	present.GlobalRevision = in.Values.Get(globalRevisionPath).String()
	if present.GlobalRevision == "" {
		// A new process: the webhooks tell what the one before was told.
		present.GlobalRevision = byDefault
	}
	present.Usage = installation.Observe(namespaces, pods, byDefault)
	return present, nil
}

func reportVersions(in *sdk.HookInput, plan installation.Plan) error {
	inGroup := operation.WithGroup(versionsMetricsGroup)
	in.MetricsCollector.Expire(versionsMetricsGroup)
	in.MetricsCollector.Set(versionRefusedMetric, gauge(plan.Refused != nil), nil, inGroup)
	kubernetes := in.Values.Get(kubernetesVersionPath).String()
	for _, version := range plan.Versions {
		labels := map[string]string{"version": version.Version, "revision": version.Revision()}
		in.MetricsCollector.Set(versionDeprecatedMetric, gauge(version.Status == istioversion.Deprecated), labels, inGroup)
		if kubernetes == "" {
			continue
		}
		runs, err := version.RunsOn(kubernetes)
		if err != nil {
			return fmt.Errorf("compare Istio %s with values %s: %w", version.Version, kubernetesVersionPath, err)
		}
		in.MetricsCollector.Set(kubernetesMismatchMetric, gauge(!runs), map[string]string{
			"version": version.Version, "revision": version.Revision(), "kubernetes": kubernetes,
			"supported": version.Kubernetes.Min + "–" + version.Kubernetes.Max,
		}, inGroup)
	}
	for _, kept := range plan.Kept {
		in.MetricsCollector.Set(versionKeptMetric, float64(len(kept.Users)),
			map[string]string{"version": kept.Version.Version, "revision": kept.Version.Revision()}, inGroup)
	}
	for _, lost := range plan.Unavailable {
		in.MetricsCollector.Set(revisionUnavailableMetric, float64(len(lost.Users)), map[string]string{"revision": lost.Revision}, inGroup)
	}
	return nil
}

// saying is a sentence for whoever set the settings.
type saying struct{ reason, message string }

// sentences tell a person what is not as the settings want it, and what to do.
func sentences(plan installation.Plan) []saying {
	var said []saying
	if plan.Refused != nil {
		said = append(said, saying{versionRefusedEvent, fmt.Sprintf("settings refused, the versions of Istio that are installed stay: %v",
			strings.ReplaceAll(plan.Refused.Error(), "\n", "; "))})
	}
	for _, kept := range plan.Kept {
		said = append(said, saying{versionInUseEvent, fmt.Sprintf(
			"Istio %s is not in the settings and stays installed, for it is used by %s: give the namespaces or Pods another revision and restart the Pods, or add %s to additionalVersions",
			kept.Version.Version, installation.Name(kept.Users), kept.Version.Version)})
	}
	for _, lost := range plan.Unavailable {
		said = append(said, saying{revisionUnavailableEvent, fmt.Sprintf(
			"revision %s of Istio is used by %s, and this release of the module cannot install it: give the namespaces or Pods a revision of %s and restart the Pods",
			lost.Revision, installation.Name(lost.Users), strings.Join(istioversion.Names(), ", "))})
	}
	return said
}

// sayings remembers what the log was told last, as the hook runs every minute,
// and may do so in two queues at once.
type sayings struct {
	mu   sync.Mutex
	last map[saying]bool
}

// warn writes Events, and into the log what it did not say the last time.
func (s *sayings) warn(in *sdk.HookInput, said []saying) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.last
	s.last = make(map[saying]bool, len(said))
	for _, each := range said {
		s.last[each] = true
		if !last[each] {
			in.Logger.Warn(each.message, "reason", each.reason)
		}
		in.PatchCollector.CreateIfNotExists(moduleConfigEvent(each.reason, each.message, in.DC.GetClock().Now()))
	}
}

// gauge is a metric of something that is so or not.
func gauge(so bool) float64 {
	if so {
		return 1
	}
	return 0
}
