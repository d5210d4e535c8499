package operator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/deckhouse/deckhouse/pkg/log"
	addonoperator "github.com/flant/addon-operator/pkg/addon-operator"
	"github.com/flant/addon-operator/pkg/app"
	addonmetrics "github.com/flant/addon-operator/pkg/metrics"
	shellmetrics "github.com/flant/shell-operator/pkg/metrics"
	corev1 "k8s.io/api/core/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"

	"github.com/deckhouse-mesh/istio/cmd/operator/internal/moduleconfig"
	"github.com/deckhouse-mesh/istio/cmd/operator/internal/options"
	"github.com/deckhouse-mesh/istio/cmd/operator/internal/server"
	globalhooks "github.com/deckhouse-mesh/istio/global-hooks"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/names"
	"github.com/deckhouse-mesh/istio/lib/settings"
)

const (
	// stopTimeout bounds how long the process waits for a running hook.
	stopTimeout = 8 * time.Second
	// helmHistory is how many versions of a release are retained: each holds all manifests.
	helmHistory = 3
	// helmTimeout bounds one operation of Helm; nothing in the chart is waited for.
	helmTimeout = 5 * time.Minute
	// remindInterval is how often the module's settings are compared with those of its ModuleConfig.
	remindInterval = 3 * time.Second
	// invalidMetric is 1 for each ModuleConfig that is rejected.
	invalidMetric = "istio_operator_module_config_invalid"
)

// worker is what the leader does.
type worker struct {
	opts    options.Options
	hooks   Hooks
	tempDir string
	config  *rest.Config
	client  kubernetes.Interface
	metrics metrics
	health  *server.Server
	logger  *log.Logger
	slogger *slog.Logger
}

// run runs addon-operator until ctx ends.
func (w worker) run(ctx context.Context) (err error) {
	w.health.SetReadiness(func() (bool, string) { return false, "setting up" })
	running := &running{failed: countFailures(w.metrics.operator)}
	backend, stopEvents, err := w.moduleConfigs(ctx, running)
	if err != nil {
		return err
	}
	defer stopEvents()

	setUpQueues()
	dependencies := hookruntime.NewDependencies()
	dependencies.SetRESTConfig(w.config)
	// What they do between runs ends before the Lease is given back, whatever way this run ends.
	defer w.registerHooks(ctx, dependencies)()
	globalhooks.Register(globalhooks.Options{
		ClusterDomain:  w.opts.ClusterDomain,
		ImageRegistry:  w.opts.ImageRegistry,
		ImagesDigests:  w.opts.ImagesDigests,
		RegistrySecret: w.opts.RegistrySecret, RegistrySecretNamespace: w.opts.Namespace,
		IstioVersions: w.opts.IstioVersions,
	}, dependencies)

	socket, removeSocket, err := debugSocket(w.tempDir)
	if err != nil {
		return err
	}
	defer removeSocket()
	// addon-operator panics when it cannot make its clients.
	defer func() {
		if panicked := recover(); panicked != nil {
			err = fmt.Errorf("set up addon-operator: %v", panicked)
		}
	}()
	globalHooksDir, err := schemasOnly(w.opts.GlobalHooksDir, w.tempDir)
	if err != nil {
		return err
	}
	config := w.addonOperatorConfig(socket, globalHooksDir)
	shellmetrics.InitMetrics(config.App.PrometheusMetricsPrefix)
	addonmetrics.InitMetrics(config.App.PrometheusMetricsPrefix)
	operator := addonoperator.NewAddonOperator(context.WithoutCancel(ctx), running.failed, w.metrics.hooks,
		addonoperator.WithConfig(config), addonoperator.WithLogger(w.logger.Named("addon-operator")))
	operator.SetupKubeConfigManager(backend)
	if err := operator.Setup(); err != nil {
		return fmt.Errorf("set up addon-operator: %w", err)
	}
	retainOtherReleases(operator.Helm, func(name string) bool { return operator.ModuleManager.GetModule(name) != nil })
	if err := operator.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("start addon-operator: %w", err)
	}
	running.operator.Store(operator)
	w.health.SetReadiness(func() (bool, string) {
		if !operator.IsStartupConvergeDone() {
			return false, "first run of the modules in progress"
		}
		return true, "ok"
	})

	queues, err := queueList(operator.DebugServer.Router)
	if err != nil {
		return err
	}
	err = waitForStoppedQueue(ctx, queues, queueCheckInterval)
	w.health.SetReadiness(func() (bool, string) { return false, "stopping" })
	w.stop(operator)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// registerHooks registers those linked in, and returns what ends them.
func (w worker) registerHooks(ctx context.Context, dependencies *hookruntime.Dependencies) (end func()) {
	if w.hooks == nil {
		return func() {}
	}
	lifetime, cancel := context.WithCancel(ctx)
	wait := w.hooks(lifetime, dependencies)
	return func() {
		cancel()
		wait()
	}
}

// stop ends addon-operator; it does not wait for a hook that does not end.
func (w worker) stop(operator *addonoperator.AddonOperator) {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		operator.Stop()
	}()
	select {
	case <-stopped:
		w.slogger.Info("stopped")
	case <-time.After(stopTimeout):
		w.slogger.Warn("stopped without waiting for the running hook any longer", slog.Duration("waited", stopTimeout))
	}
}

// moduleConfigs returns the source of settings, and a function to call at the end.
func (w worker) moduleConfigs(ctx context.Context, running *running) (*moduleconfig.Backend, func(), error) {
	crds, crdsErr := apiextensions.NewForConfig(w.config)
	objects, objectsErr := dynamic.NewForConfig(w.config)
	if err := errors.Join(crdsErr, objectsErr); err != nil {
		return nil, nil, fmt.Errorf("make a Kubernetes client for ModuleConfigs: %w", err)
	}
	if err := moduleconfig.EnsureCRD(ctx, crds, w.opts.CRDsDir); err != nil {
		return nil, nil, err
	}
	schemas, err := moduleconfig.LoadSchemas(w.opts.ModulesDir, w.opts.GlobalHooksDir)
	if err != nil {
		return nil, nil, err
	}
	// The ModuleConfig whose settings have rules beyond their schema.
	if istio := schemas[names.Module()]; istio != nil {
		istio.Sense = func(wanted, previous map[string]any) error {
			return errors.Join(settings.Check(wanted, previous, time.Now())...)
		}
		istio.Settle = settings.WithoutNulls
		istio.Warn = func(inForce map[string]any) []string { return settings.Warnings(inForce, time.Now()) }
	}
	if _, err := w.metrics.operator.RegisterGauge(invalidMetric, []string{"name"}); err != nil {
		return nil, nil, fmt.Errorf("register metric %s: %w", invalidMetric, err)
	}

	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: w.client.CoreV1().Events("")})
	return moduleconfig.New(moduleconfig.Options{
		Dynamic: objects, Kubernetes: w.client, Namespace: w.opts.Namespace, Schemas: schemas,
		Events: broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "istio-operator"}),
		SetInvalid: func(name string, invalid bool) {
			value := 0.0
			if invalid {
				value = 1
			}
			w.metrics.operator.GaugeSet(invalidMetric, value, map[string]string{"name": name})
		},
		InForce:        running.inForce,
		LatestRun:      running.latestRun,
		TurnedOff:      running.turnedOff,
		RemindInterval: remindInterval,
		Logger:         w.slogger,
	}), broadcaster.Shutdown, nil
}

// addonOperatorConfig is addon-operator's own form of the options.
func (w worker) addonOperatorConfig(socket, globalHooksDir string) *app.Config {
	config := app.NewConfig()
	config.App.ModulesDir = w.opts.ModulesDir
	config.App.GlobalHooksDir = globalHooksDir
	config.App.TempDir = w.tempDir
	config.App.Namespace = w.opts.Namespace
	config.App.ListenAddress = w.opts.ListenAddress
	config.App.ListenPort = strconv.Itoa(w.opts.ListenPort)
	config.App.ExtraLabels = "heritage=deckhouse"
	config.App.AppliedExtenders = "Static,DynamicallyEnabled,KubeConfig,ScriptEnabled"
	config.Helm.HistoryMax = helmHistory
	config.Helm.Timeout = helmTimeout
	config.Helm.MonitorKubeClientQps = w.opts.KubeClientQPS
	config.Helm.MonitorKubeClientBurst = w.opts.KubeClientBurst
	config.Kube.Config = w.opts.Kubeconfig
	config.Kube.ClientQPS = w.opts.KubeClientQPS
	config.Kube.ClientBurst = w.opts.KubeClientBurst
	config.ObjectPatcher.KubeClientQPS = w.opts.KubeClientQPS
	config.ObjectPatcher.KubeClientBurst = w.opts.KubeClientBurst
	config.Debug.UnixSocket = socket
	config.Log.Level = w.opts.LogLevel
	return config
}

// schemasOnly returns a folder in tempDir with a copy of globalHooksDir's openapi/
// and nothing else. The hooks are linked in; in their own folder, addon-operator
// would warn of each Go file that it is no executable hook.
func schemasOnly(globalHooksDir, tempDir string) (string, error) {
	dir := filepath.Join(tempDir, "global-hooks")
	err := os.RemoveAll(dir)
	if err == nil {
		err = os.CopyFS(filepath.Join(dir, "openapi"), os.DirFS(filepath.Join(globalHooksDir, "openapi")))
	}
	if err != nil {
		return "", fmt.Errorf("copy the schemas of the global settings: %w", err)
	}
	return dir, nil
}

// maxSocketPath is what a unix socket's address can hold: sun_path less its final zero.
const maxSocketPath = 107

// debugSocket returns where addon-operator's debug endpoint listens: in tempDir,
// unless its path is too long for a socket.
func debugSocket(tempDir string) (string, func(), error) {
	path := filepath.Join(tempDir, "debug.socket")
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	short, err := os.MkdirTemp("", "istio-operator-")
	if err != nil {
		return "", nil, fmt.Errorf("make a folder for the debug socket, as %s is too long a path for one: %w", path, err)
	}
	return filepath.Join(short, "debug.socket"), func() { _ = os.RemoveAll(short) }, nil
}
