package rendertest

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
)

// Server is a Kubernetes API server that is asked what it thinks of objects.
type Server struct {
	objects dynamic.Interface
	mapper  meta.RESTMapper
}

// NewServer makes a Server of clients for one.
func NewServer(apis discovery.DiscoveryInterface, objects dynamic.Interface) *Server {
	return &Server{objects, restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(apis))}
}

// DryRun asks the server whether it would accept the object, its admission
// webhooks included, and changes nothing. meta.IsNoMatchError is true when it
// does not know the kind.
func (s *Server) DryRun(ctx context.Context, object *unstructured.Unstructured) error {
	kind := object.GroupVersionKind()
	mapping, err := s.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return err
	}
	var target dynamic.ResourceInterface = s.objects.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		if object.GetNamespace() == "" {
			return fmt.Errorf("%s %s has no namespace, and would land where Helm's release is", kind.Kind, object.GetName())
		}
		target = s.objects.Resource(mapping.Resource).Namespace(object.GetNamespace())
	}
	_, err = target.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{
		FieldManager: "rendertest", Force: true, DryRun: []string{metav1.DryRunAll},
	})
	return err
}
