// Package operator assembles addon-operator, the module's hooks and the
// ModuleConfig backend, and runs them until its context ends.
package operator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/deckhouse/deckhouse/pkg/log"
	metricsstorage "github.com/deckhouse/deckhouse/pkg/metrics-storage"
	"github.com/deckhouse/module-sdk/pkg"
	"github.com/flant/addon-operator/pkg/utils/stdliblogtolog"
	"github.com/flant/kube-client/klogtolog"
	"k8s.io/client-go/kubernetes"

	"github.com/deckhouse-mesh/istio/cmd/operator/internal/leader"
	"github.com/deckhouse-mesh/istio/cmd/operator/internal/options"
	"github.com/deckhouse-mesh/istio/cmd/operator/internal/redact"
	"github.com/deckhouse-mesh/istio/cmd/operator/internal/server"
	"github.com/deckhouse-mesh/istio/lib/program"
)

// Hooks registers the hooks that are linked into the program, and is called before
// addon-operator starts. What they do between their runs ends with lifetime; wait returns when it has.
type Hooks func(lifetime context.Context, dependencies pkg.DependencyContainer) (wait func())

// Run runs the operator until ctx ends, which is no error. It may be called
// once a process: addon-operator has its hooks and settings in globals. Without
// hooks, the module's folder has them as a binary, as in Deckhouse.
func Run(ctx context.Context, opts options.Options, hooks Hooks, version string) error {
	logger := log.NewLogger(log.WithLevel(log.LogLevelFromStr(opts.LogLevel).Level()), log.WithOutput(redact.Writer{To: os.Stdout}))
	log.SetDefault(logger)
	slogger := slog.New(logger.Handler())
	klogtolog.InitAdapter(false, logger.Named("klog"))
	stdliblogtolog.InitAdapter(logger.Named("stdlib"))
	slogger.Info("istio operator", slog.String("version", version))

	tempDir, removeTempDir, err := makeTempDir(opts.TempDir)
	if err != nil {
		return err
	}
	defer removeTempDir()
	if err := setEnvironment(opts, tempDir); err != nil {
		return err
	}
	config, err := restConfig(opts)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make a Kubernetes client: %w", err)
	}

	metrics := newMetrics(logger)
	health, err := server.Start(opts.Listen(), program.Handlers{
		"/metrics":       metrics.operator.Handler(),
		"/metrics/hooks": metrics.hooks.Handler(),
	}, slogger)
	if err != nil {
		return err
	}
	defer health.Stop()

	health.SetReadiness(func() (bool, string) { return false, "waiting for the API server" })
	if err := waitForAPI(ctx, client, slogger); err != nil {
		return ignoreStop(ctx, err)
	}
	if err := ensureNamespaces(ctx, client, opts.Namespace); err != nil {
		return ignoreStop(ctx, err)
	}

	worker := worker{
		opts: opts, hooks: hooks, tempDir: tempDir, config: config, client: client,
		metrics: metrics, health: health, logger: logger, slogger: slogger,
	}
	if !opts.LeaderElect {
		return ignoreStop(ctx, worker.run(ctx))
	}
	health.SetReadiness(func() (bool, string) { return false, "waiting for the leader election" })
	election := leader.Election{
		Client: client, Namespace: opts.Namespace, Logger: slogger, Identity: opts.LeaderIdentity,
		OnFollow: func(identity string) {
			health.SetReadiness(func() (bool, string) { return true, "standby, " + identity + " leads" })
		},
	}
	return ignoreStop(ctx, election.Run(ctx, worker.run))
}

// ignoreStop returns nil for the errors of work that ctx interrupted.
func ignoreStop(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// makeTempDir returns a folder for this process and a function to call at the
// end, which removes it if it was made here.
func makeTempDir(wanted string) (string, func(), error) {
	if wanted == "" {
		made, err := os.MkdirTemp("", "istio-operator-")
		if err != nil {
			return "", nil, fmt.Errorf("make a folder for temporary files: %w", err)
		}
		return made, func() { _ = os.RemoveAll(made) }, nil
	}
	if err := os.MkdirAll(wanted, 0o700); err != nil {
		return "", nil, fmt.Errorf("make the folder of --temp-dir: %w", err)
	}
	return wanted, func() {}, nil
}

// metrics are separate, as addon-operator wants them: its own, and those of hooks.
type metrics struct {
	operator, hooks metricsstorage.Storage
}

func newMetrics(logger *log.Logger) metrics {
	return metrics{
		operator: metricsstorage.NewMetricStorage(metricsstorage.WithNewRegistry(), metricsstorage.WithLogger(logger.Named("metrics"))),
		hooks:    metricsstorage.NewMetricStorage(metricsstorage.WithNewRegistry(), metricsstorage.WithLogger(logger.Named("hook-metrics"))),
	}
}
