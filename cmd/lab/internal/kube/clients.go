// Package kube is how the lab speaks to its clusters' API servers.
package kube

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/deckhouse-mesh/istio/lib/await"
)

const (
	// fieldManager of what the lab applies.
	fieldManager = "istio-lab"
	// discoveryTimeout bounds the wait for the API of a new CustomResourceDefinition. On a busy machine the operator
	// takes a minute to make one.
	discoveryTimeout = 3 * time.Minute
)

// Resources that the lab reads and writes.
var (
	ConfigMaps         = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	Namespaces         = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	Secrets            = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	Services           = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	CRDs               = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	ModuleConfigs      = schema.GroupVersionResource{Group: "deckhouse.io", Version: "v1alpha1", Resource: "moduleconfigs"}
	IstioFederations   = schema.GroupVersionResource{Group: "deckhouse.io", Version: "v1alpha1", Resource: "istiofederations"}
	IstioMulticlusters = schema.GroupVersionResource{Group: "deckhouse.io", Version: "v1alpha1", Resource: "istiomulticlusters"}
	ServiceEntries     = schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "serviceentries"}
)

// Clients of one cluster.
type Clients struct {
	Config  *rest.Config
	Typed   kubernetes.Interface
	Dynamic dynamic.Interface
}

// New makes clients from a kubeconfig file.
func New(kubeconfig string) (*Clients, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig %s: %w", kubeconfig, err)
	}
	// The API server is on this machine and this program is its administrator: no client-side throttling.
	config.QPS = -1
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client from %s: %w", kubeconfig, err)
	}
	dyn, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client from %s: %w", kubeconfig, err)
	}
	return &Clients{Config: config, Typed: typed, Dynamic: dyn}, nil
}

// Apply applies the object, by server-side apply. It waits for the
// resource's API when its CustomResourceDefinition has just been created.
func (c *Clients) Apply(ctx context.Context, resource schema.GroupVersionResource, object map[string]any) error {
	u := &unstructured.Unstructured{Object: object}
	options := metav1.ApplyOptions{FieldManager: fieldManager, Force: true}
	err := await.Until(ctx, discoveryTimeout, func(ctx context.Context) (bool, string, error) {
		_, err := c.Dynamic.Resource(resource).Namespace(u.GetNamespace()).Apply(ctx, u.GetName(), u, options)
		if apierrors.IsNotFound(err) {
			return await.NotYet(err)
		}
		return true, "", err
	})
	if err != nil {
		return fmt.Errorf("apply %s %s: %w", u.GetKind(), u.GetName(), err)
	}
	return nil
}

// Condition of that type in the object's status; found is false when there is none.
func Condition(object *unstructured.Unstructured, kind string) (condition map[string]any, found bool) {
	all, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, item := range all {
		if condition, ok := item.(map[string]any); ok && condition["type"] == kind {
			return condition, true
		}
	}
	return nil, false
}

// String of a field of a condition, empty when it is absent.
func String(condition map[string]any, field string) string {
	text, _ := condition[field].(string)
	return text
}
