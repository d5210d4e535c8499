package hookruntime

import (
	"errors"
	"fmt"
	"sync"

	"github.com/deckhouse/module-sdk/pkg"
	"github.com/deckhouse/module-sdk/pkg/dependency"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var _ pkg.DependencyContainer = (*Dependencies)(nil)

// Dependencies is the container of injected clients for hooks that run inside
// the operator. Kubernetes clients use the operator's own access to its
// cluster, so it works outside of a Pod, too; all else is module-sdk's, whose
// HTTP client is not for peers: package peer asks them. It is safe for concurrent use.
type Dependencies struct {
	pkg.DependencyContainer

	mu         sync.Mutex
	restConfig *rest.Config
}

// NewDependencies returns a container without access to a cluster; give it one
// with SetRESTConfig before hooks run.
func NewDependencies() *Dependencies {
	return &Dependencies{DependencyContainer: dependency.NewDependencyContainer()}
}

// SetRESTConfig makes config the way to reach the cluster from now on.
func (d *Dependencies) SetRESTConfig(config *rest.Config) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.restConfig = rest.CopyConfig(config)
}

// GetClientConfig returns a copy of the access to the cluster, and an error
// before SetRESTConfig was called.
func (d *Dependencies) GetClientConfig() (*rest.Config, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.restConfig == nil {
		return nil, errNoCluster
	}
	return rest.CopyConfig(d.restConfig), nil
}

var errNoCluster = errors.New("no access to a cluster: hooks ran before the operator connected to one")

// GetK8sClient returns a client that knows client-go's built-in kinds,
// CustomResourceDefinitions, and what options add. All clients share their
// connections: client-go has one transport for each way to reach a cluster.
func (d *Dependencies) GetK8sClient(options ...pkg.KubernetesOption) (pkg.KubernetesClient, error) {
	types := runtime.NewScheme()
	applier := schemeApplier{builders: []runtime.SchemeBuilder{{scheme.AddToScheme, apiextensionsv1.AddToScheme}}}
	for _, option := range options {
		option.Apply(&applier)
	}
	for _, builder := range applier.builders {
		if err := builder.AddToScheme(types); err != nil {
			return nil, fmt.Errorf("make a Kubernetes client: register its kinds: %w", err)
		}
	}

	config, err := d.GetClientConfig()
	if err != nil {
		return nil, fmt.Errorf("make a Kubernetes client: %w", err)
	}
	typed, err := client.New(config, client.Options{Scheme: types})
	if err != nil {
		return nil, fmt.Errorf("make a Kubernetes client: %w", err)
	}
	untyped, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a dynamic Kubernetes client: %w", err)
	}
	return kubernetesClient{Client: typed, dynamic: untyped}, nil
}

// MustGetK8sClient is GetK8sClient that panics on an error.
func (d *Dependencies) MustGetK8sClient(options ...pkg.KubernetesOption) pkg.KubernetesClient {
	k8s, err := d.GetK8sClient(options...)
	if err != nil {
		panic(err)
	}
	return k8s
}

// schemeApplier collects the kinds that options add.
type schemeApplier struct{ builders []runtime.SchemeBuilder }

func (a *schemeApplier) WithSchemeBuilder(builder runtime.SchemeBuilder) {
	a.builders = append(a.builders, builder)
}

type kubernetesClient struct {
	client.Client
	dynamic dynamic.Interface
}

// Dynamic returns the client for kinds that have no Go type here.
func (c kubernetesClient) Dynamic() dynamic.Interface { return c.dynamic }
