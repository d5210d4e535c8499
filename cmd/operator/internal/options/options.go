// Package options are the operator's flags and what follows from them.
package options

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
	"github.com/deckhouse-mesh/istio/lib/names"
)

// Options of the operator. Fill them with Default and Bind, then call Complete.
type Options struct {
	// Kubeconfig is a file, or empty for client-go's loading rules: $KUBECONFIG,
	// ~/.kube/config, the Pod's ServiceAccount.
	Kubeconfig string
	// Namespace of the Lease, the Helm releases and the operator's own Secrets.
	Namespace string
	// ModulesDir has a folder for each module.
	ModulesDir string
	// GlobalHooksDir has the schemas of the global settings in openapi/.
	GlobalHooksDir string
	// CRDsDir has the ModuleConfig CRD.
	CRDsDir string
	// TempDir for this process alone; empty: a new one, removed at the end.
	TempDir string
	// ListenAddress and ListenPort of health and metrics, plain HTTP; an empty
	// address means all of them, IPv4 and IPv6.
	ListenAddress string
	ListenPort    int
	// LeaderElect lets one of several replicas work and the others wait.
	LeaderElect bool
	// LeaderIdentity of this replica in the Lease, the same after a restart; empty: one of this process alone.
	LeaderIdentity string
	// ClusterDomain overrides what is found in the cluster.
	ClusterDomain string
	// ImageRegistry is the repository of the modules' images.
	ImageRegistry string
	// RegistrySecret in Namespace has the credentials of ImageRegistry; there need not be one.
	RegistrySecret string
	// ImagesDigests is a file with the digests of the module's images.
	ImagesDigests string
	// IstioVersions are the full versions of Istio in the modules' images; empty: those of this release of the module.
	IstioVersions []string
	// LogLevel is debug, info, warn or error.
	LogLevel string
	// KubeClientQPS and KubeClientBurst limit requests to the API server.
	KubeClientQPS   float32
	KubeClientBurst int
}

var logLevels = []string{"debug", "info", "warn", "error"}

// Default returns the options of a process that was started without flags:
// folders lie beside its executable or one above, which fits both the image
// (/operator, /modules) and a source tree (bin/operator, modules).
func Default(executable string) Options {
	root := filepath.Dir(filepath.Dir(executable))
	return Options{
		Namespace:      names.OperatorNamespace,
		ModulesDir:     filepath.Join(root, "modules"),
		GlobalHooksDir: filepath.Join(root, "global-hooks"),
		CRDsDir:        filepath.Join(root, "crds", "operator"),
		ListenPort:     9650,
		LeaderElect:    true,
		ImageRegistry:  "ghcr.io/deckhouse-mesh/istio",
		RegistrySecret: "istio-operator-registry",
		ImagesDigests:  filepath.Join(root, "modules", names.FolderOf(names.Module()), "images_digests.json"),
		LogLevel:       "info",
		// addon-operator's own 5 and 10 make it wait for itself for seconds.
		KubeClientQPS:   100,
		KubeClientBurst: 200,
	}
}

// Bind adds a flag for each option; what o holds becomes its default.
func (o *Options) Bind(flags *pflag.FlagSet) {
	flags.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig, "kubeconfig `file` (default $KUBECONFIG, ~/.kube/config, or the Pod's ServiceAccount)")
	flags.StringVar(&o.Namespace, "namespace", o.Namespace, "`namespace` of the operator's Lease, Secrets and Helm releases; created when missing")
	flags.StringVar(&o.ModulesDir, "modules-dir", o.ModulesDir, "`folder` of the modules")
	flags.StringVar(&o.GlobalHooksDir, "global-hooks-dir", o.GlobalHooksDir, "`folder` with openapi/, the schemas of the global settings")
	flags.StringVar(&o.CRDsDir, "crds-dir", o.CRDsDir, "`folder` with module-config.yaml, installed when the cluster has no ModuleConfigs")
	flags.StringVar(&o.TempDir, "temp-dir", o.TempDir, "`folder` for temporary files and the debug socket, of this process alone (default a new one, removed at the end)")
	flags.StringVar(&o.ListenAddress, "listen-address", o.ListenAddress, "`address` to serve /healthz, /readyz, /metrics and /metrics/hooks at (default all, IPv4 and IPv6)")
	flags.IntVar(&o.ListenPort, "listen-port", o.ListenPort, "`port` to serve them at")
	flags.BoolVar(&o.LeaderElect, "leader-elect", o.LeaderElect, "work only while holding the Lease, so that several replicas can run")
	flags.StringVar(&o.LeaderIdentity, "leader-identity", o.LeaderIdentity, "`name` of this replica in the Lease, which no other replica has: after a restart it works on at once, instead of after 15s (default the host's name and a random part)")
	flags.StringVar(&o.ClusterDomain, "cluster-domain", o.ClusterDomain, "`domain` of the cluster's Services (default from kubeadm's ConfigMap, else cluster.local)")
	flags.StringVar(&o.ImageRegistry, "image-registry", o.ImageRegistry, "`repository` that the modules' images are pulled from")
	flags.StringVar(&o.RegistrySecret, "registry-secret", o.RegistrySecret, "`name` of the Secret in the operator's namespace, of type kubernetes.io/dockerconfigjson, with the credentials of that repository; there need not be one")
	flags.StringVar(&o.ImagesDigests, "images-digests", o.ImagesDigests, "`file` with the digest of each image of the module, a JSON object by image name in camelCase")
	flags.StringSliceVar(&o.IstioVersions, "istio-versions", o.IstioVersions, "full `versions` of Istio in the modules' images, such as 1.31.0,1.29.1, for images that are not those of this release of the module")
	flags.StringVar(&o.LogLevel, "log-level", o.LogLevel, "`level` of the log: "+strings.Join(logLevels, ", "))
	flags.Float32Var(&o.KubeClientQPS, "kube-client-qps", o.KubeClientQPS, "requests to the API server per second, on average")
	flags.IntVar(&o.KubeClientBurst, "kube-client-burst", o.KubeClientBurst, "requests to the API server at once")
}

// Complete makes paths absolute and returns everything that is wrong with o.
func (o *Options) Complete() error {
	var errs []error
	absolute := func(flag string, path *string, mustBeDir bool) {
		full, err := filepath.Abs(*path)
		if err != nil {
			errs = append(errs, fmt.Errorf("--%s: %w", flag, err))
			return
		}
		*path = full
		if info, err := os.Stat(full); mustBeDir && (err != nil || !info.IsDir()) {
			errs = append(errs, fmt.Errorf("--%s: %s is not a folder", flag, full))
		}
	}
	absolute("modules-dir", &o.ModulesDir, true)
	absolute("global-hooks-dir", &o.GlobalHooksDir, true)
	absolute("crds-dir", &o.CRDsDir, false)
	absolute("images-digests", &o.ImagesDigests, false)
	if o.TempDir != "" {
		absolute("temp-dir", &o.TempDir, false)
	}
	if o.Kubeconfig != "" {
		absolute("kubeconfig", &o.Kubeconfig, false)
		if _, err := os.Stat(o.Kubeconfig); err != nil {
			errs = append(errs, fmt.Errorf("--kubeconfig: %w", err))
		}
	}
	if o.Namespace == "" {
		errs = append(errs, errors.New("--namespace must not be empty"))
	}
	if problems := validation.IsDNS1123Subdomain(o.RegistrySecret); len(problems) > 0 {
		errs = append(errs, fmt.Errorf("--registry-secret: %q is not the name of a Secret: %s", o.RegistrySecret, problems[0]))
	}
	if o.ListenPort < 1 || o.ListenPort > 65535 {
		errs = append(errs, fmt.Errorf("--listen-port: %d is not a port, use 1 to 65535", o.ListenPort))
	}
	if !slices.Contains(logLevels, o.LogLevel) {
		errs = append(errs, fmt.Errorf("--log-level: there is no level %q, use one of %s", o.LogLevel, strings.Join(logLevels, ", ")))
	}
	if err := istioversion.CheckImages(o.IstioVersions); err != nil {
		errs = append(errs, fmt.Errorf("--istio-versions: %w", err))
	}
	if o.KubeClientQPS <= 0 || o.KubeClientBurst <= 0 {
		errs = append(errs, errors.New("--kube-client-qps and --kube-client-burst must be above 0"))
	}
	return errors.Join(errs...)
}

// Listen returns address and port in the form of net.Listen.
func (o *Options) Listen() string {
	return net.JoinHostPort(o.ListenAddress, strconv.Itoa(o.ListenPort))
}
