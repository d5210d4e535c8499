package hooks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/names"
	"github.com/deckhouse-mesh/istio/lib/orphans"
)

// orphanRemoval deletes what Helm does not know of when the module has been
// switched off: what istiod wrote into the cluster. CRDs and people's resources are
// retained. It ends when nothing has been written again for as long as settled, and after
// deadline at the latest: a terminating istiod writes again what is deleted,
// until it has no rights any more.
func orphanRemoval(settled, deadline time.Duration) hookruntime.Hook {
	return hookruntime.Hook{
		Name:   "orphan_removal",
		Config: sdk.HookConfig{OnAfterDeleteHelm: at(orderOrphans)},
		Run: func(ctx context.Context, in *sdk.HookInput) error {
			return runOrphanRemoval(ctx, in, settled, deadline)
		},
	}
}

// orphanKind says where orphans of a kind are found, and which objects are orphans.
type orphanKind struct {
	resource schema.GroupVersionResource
	options  metav1.ListOptions
	// orphan judges one object, given all of the kind.
	orphan func(object *unstructured.Unstructured, all []unstructured.Unstructured) (bool, error)
}

// deletable are the orphans of kinds; while the embedded istio takes the module's place,
// only those with the module's label: the others may be the embedded one's already.
func deletable(in *sdk.HookInput, kinds []orphanKind) ([]orphanKind, error) {
	yielding, err := yields(in)
	if err != nil || !yielding {
		return kinds, err
	}
	labelled := slices.Clone(kinds)
	for index, kind := range kinds {
		labelled[index].orphan = func(object *unstructured.Unstructured, all []unstructured.Unstructured) (bool, error) {
			if !names.OfModule(object.GetLabels()) {
				return false, nil
			}
			return kind.orphan(object, all)
		}
	}
	return labelled, nil
}

func webhookOrphans() []orphanKind {
	orphan := func(object *unstructured.Unstructured, _ []unstructured.Unstructured) (bool, error) {
		return orphans.Webhooks(object)
	}
	return []orphanKind{
		{admissionv1.SchemeGroupVersion.WithResource("mutatingwebhookconfigurations"), metav1.ListOptions{}, orphan},
		{admissionv1.SchemeGroupVersion.WithResource("validatingwebhookconfigurations"), metav1.ListOptions{}, orphan},
	}
}

// otherOrphans are those of a mesh that trusts the root certificates in trusted.
func otherOrphans(trusted string) []orphanKind {
	return []orphanKind{
		{configMapResource, metav1.ListOptions{LabelSelector: orphans.IstiodConfigMaps}, func(object *unstructured.Unstructured, all []unstructured.Unstructured) (bool, error) {
			return orphans.ConfigMap(object, all, trusted), nil
		}},
		{secretResource, metav1.ListOptions{LabelSelector: names.ModuleSelector(), FieldSelector: "metadata.name=" + orphans.RegistrySecret}, func(object *unstructured.Unstructured, _ []unstructured.Unstructured) (bool, error) {
			return orphans.Secret(object), nil
		}},
		{schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gatewayclasses"}, metav1.ListOptions{}, func(object *unstructured.Unstructured, _ []unstructured.Unstructured) (bool, error) {
			controller, _, err := unstructured.NestedString(object.Object, "spec", "controllerName")
			return err == nil && orphans.GatewayClass(object, controller), err
		}},
	}
}

func runOrphanRemoval(ctx context.Context, in *sdk.HookInput, settled, deadline time.Duration) error {
	client, err := in.DC.GetK8sClient()
	if err != nil {
		return err
	}
	trusted, err := trustedRoots(ctx, in, client.Dynamic())
	if err != nil {
		return err
	}
	kinds, err := deletable(in, append(webhookOrphans(), otherOrphans(trusted)...))
	if err != nil {
		return err
	}
	var removed int
	rejected := map[string]error{}
	err = wait.PollUntilContextTimeout(ctx, settled, deadline, true, func(ctx context.Context) (bool, error) {
		found, err := deleteAll(ctx, client.Dynamic(), kinds, rejected)
		removed += found
		return found == 0, err
	})
	for object, rejection := range rejected {
		in.Logger.Warn("an object that the module left behind in a namespace cannot be deleted; the module is switched off without that", "object", object, "error", rejection.Error())
	}
	if removed > 0 {
		in.Logger.Info("deleted objects that istiod left behind", "number", removed)
	}
	if wait.Interrupted(err) && ctx.Err() == nil {
		// Another attempt would do no better and would prevent the module from being switched off.
		in.Logger.Warn("objects that istiod left behind are created again after their deletion: check whether an istiod runs in d8-istio", "tried", deadline.String())
		return nil
	}
	return err
}

// trustedRoots are those of the mesh that is being deleted, in PEM: those of the values, and
// those of the stored CA for a process that has just started.
func trustedRoots(ctx context.Context, in *sdk.HookInput, client dynamic.Interface) (string, error) {
	trusted := in.Values.Get(ownRootsPath).String()
	object, err := client.Resource(secretResource).Namespace(names.OperatorNamespace).Get(ctx, caSecret, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return trusted, nil
	}
	if err != nil {
		return "", fmt.Errorf("read the CA in Secret %s/%s to recognise what its istiod left behind: %w", names.OperatorNamespace, caSecret, err)
	}
	var stored corev1.Secret
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &stored); err != nil {
		return "", fmt.Errorf("decode Secret %s/%s: %w", names.OperatorNamespace, caSecret, err)
	}
	return trusted + "\n" + string(stored.Data["root-cert.pem"]), nil
}

// deleteAll deletes the orphans of kinds and returns how many it found. Objects
// that are being deleted already are not counted, nor are rejected ones: in people's
// namespaces, where a policy may protect what is there, an object that cannot be deleted
// must keep neither the others nor the module itself. They become part of rejected.
func deleteAll(ctx context.Context, client dynamic.Interface, kinds []orphanKind, rejected map[string]error) (int, error) {
	found, errs := 0, make([]error, len(kinds))
	for index, kind := range kinds {
		number, err := deleteKind(ctx, client.Resource(kind.resource), kind, rejected)
		found, errs[index] = found+number, err
	}
	return found, errors.Join(errs...)
}

func deleteKind(ctx context.Context, client dynamic.NamespaceableResourceInterface, kind orphanKind, rejected map[string]error) (int, error) {
	list, err := client.List(ctx, kind.options)
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		// The cluster does not have this kind: the Gateway API is optional.
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("list %s to delete what the module left behind: %w", kind.resource.Resource, err)
	}
	found := 0
	var errs []error
	for index := range list.Items {
		object := &list.Items[index]
		orphan, err := kind.orphan(object, list.Items)
		if err != nil {
			errs = append(errs, fmt.Errorf("read %s %q: %w", kind.resource.Resource, object.GetName(), err))
			continue
		}
		if !orphan || object.GetDeletionTimestamp() != nil {
			continue
		}
		uid := object.GetUID()
		err = client.Namespace(object.GetNamespace()).Delete(ctx, object.GetName(), metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
		switch name := fmt.Sprintf("%s %q", kind.resource.Resource, object.GetNamespace()+"/"+object.GetName()); {
		case err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err):
			found++
		case object.GetNamespace() != "" && !isTransient(err):
			rejected[name] = err
		default:
			errs = append(errs, fmt.Errorf("delete %s that the module left behind: %w", name, err))
		}
	}
	return found, errors.Join(errs...)
}
