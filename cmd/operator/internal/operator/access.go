package operator

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/deckhouse-mesh/istio/cmd/operator/internal/options"
	"github.com/deckhouse-mesh/istio/lib/names"
)

// restConfig returns the access to the cluster after client-go's loading rules.
func restConfig(opts options.Options) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = opts.Kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("find out how to reach the cluster: %w: give a --kubeconfig", err)
	}
	config.QPS, config.Burst = opts.KubeClientQPS, opts.KubeClientBurst
	config.UserAgent = "istio-operator"
	return config, nil
}

// setEnvironment passes options to the libraries inside addon-operator that
// read nothing but the environment: Helm, its discovery cache, and kube-client.
func setEnvironment(opts options.Options, tempDir string) error {
	environment := map[string]string{
		"HELM_DRIVER":      "secret",
		"HELM_BURST_LIMIT": strconv.Itoa(opts.KubeClientBurst),
		"HELM_QPS":         strconv.FormatFloat(float64(opts.KubeClientQPS), 'f', -1, 32),
		"KUBECACHEDIR":     filepath.Join(tempDir, "kube-cache"),
		"USE_NELM":         "false",
		// Of hooks that are processes; module-sdk logs nothing without.
		"LOG_LEVEL": opts.LogLevel,
		// On disk it would outlive the process and know nothing of new CRDs.
		"FLANT_KUBE_CLIENT_IN_MEMORY_DISCOVERY_CACHE": "true",
	}
	if opts.Kubeconfig != "" {
		environment["KUBECONFIG"] = opts.Kubeconfig
	}
	for name, value := range environment {
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

// waitForAPI returns when the API server answers, or with ctx.
func waitForAPI(ctx context.Context, client kubernetes.Interface, logger *slog.Logger) error {
	delay := backoff.NewExponentialBackOff()
	delay.InitialInterval, delay.MaxInterval = 200*time.Millisecond, 5*time.Second
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		info, err := client.Discovery().ServerVersion()
		if err == nil {
			logger.Info("connected to Kubernetes", slog.String("version", info.GitVersion))
		}
		return struct{}{}, err
	}, backoff.WithBackOff(delay), backoff.WithMaxElapsedTime(0), backoff.WithNotify(func(err error, next time.Duration) {
		logger.Warn("the API server does not answer, will try again", slog.Any("error", err), slog.Duration("in", next))
	}))
	return err
}

// identityNamespace is where the hooks keep the mesh's identities and look for
// people's certificates, as in Deckhouse, whatever namespace the operator has.
const identityNamespace = names.OperatorNamespace

// ensureNamespaces creates the operator's own namespace and that of the hooks unless they are there.
func ensureNamespaces(ctx context.Context, client kubernetes.Interface, own string) error {
	for _, namespace := range []string{own, identityNamespace} {
		_, err := client.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: map[string]string{names.HeritageLabel: names.Heritage}}}
			_, err = client.CoreV1().Namespaces().Create(ctx, object, metav1.CreateOptions{})
		}
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("make sure that namespace %q, which the operator needs, exists: %w", namespace, err)
		}
	}
	return nil
}
