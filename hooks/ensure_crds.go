package hooks

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	ensurecrds "github.com/deckhouse/module-sdk/common-hooks/ensure_crds"
	sdk "github.com/deckhouse/module-sdk/pkg"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

// moduleDirEnv overrides where the module's files are looked for.
const moduleDirEnv = "ISTIO_MODULE_DIR"

// moduleDir is the folder with crds/ in it. Both binaries that link the hooks
// live one folder below: <module>/hooks/<batch binary> and <root>/bin/operator.
func moduleDir() string {
	if dir := os.Getenv(moduleDirEnv); dir != "" {
		return dir
	}
	executable, err := os.Executable()
	if err != nil {
		return "."
	}
	if resolved, err := filepath.EvalSymlinks(executable); err == nil {
		executable = resolved
	}
	return filepath.Dir(filepath.Dir(executable))
}

// ensureCRDs installs and upgrades the module's own CRDs and Istio's. They are
// never deleted: people's objects live in them.
func ensureCRDs(dir string) hookruntime.Hook {
	return hookruntime.Hook{
		Name:   "ensure_crds",
		Config: sdk.HookConfig{OnStartup: &sdk.OrderedConfig{Order: 1}},
		Run: func(ctx context.Context, in *sdk.HookInput) error {
			// Own CRDs last: when they are there, everything is.
			for _, glob := range []string{"crds/istio/*.yaml", "crds/*.yaml"} {
				path := filepath.Join(dir, glob)
				if files, err := filepath.Glob(path); err != nil || len(files) == 0 {
					return fmt.Errorf("no CRDs in %s: the module is not complete (in a source tree, run `make generate`); %s names its folder", path, moduleDirEnv)
				}
				if err := ensurecrds.EnsureCRDs(ctx, in, path); err != nil {
					return err
				}
			}
			return waitEstablished(ctx, in)
		},
	}
}

// establishTimeout bounds the wait for the API server to serve new CRDs, some milliseconds usually.
const establishTimeout = 30 * time.Second

// waitEstablished waits until the API server serves the CRDs: the hooks that
// subscribe to their objects start next.
func waitEstablished(ctx context.Context, in *sdk.HookInput) error {
	client, err := in.DC.GetK8sClient()
	if err != nil {
		return err
	}
	crds := client.Dynamic().Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	var waitingFor []string
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, establishTimeout, true, func(ctx context.Context) (bool, error) {
		list, err := crds.List(ctx, metav1.ListOptions{LabelSelector: "heritage=deckhouse"})
		if err != nil {
			return false, err
		}
		waitingFor = nil
		for _, item := range list.Items {
			var crd apiextensionsv1.CustomResourceDefinition
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, &crd); err != nil {
				return false, fmt.Errorf("decode CustomResourceDefinition %q: %w", item.GetName(), err)
			}
			if ownGroup(crd.Spec.Group) && !established(crd) {
				waitingFor = append(waitingFor, crd.Name)
			}
		}
		return len(waitingFor) == 0, nil
	})
	if err != nil {
		return fmt.Errorf("wait until the API server serves %s: %w", strings.Join(waitingFor, ", "), err)
	}
	return nil
}

// ownGroup is true for groups whose CRDs this module installs; others' may wait for somebody else.
func ownGroup(group string) bool {
	return group == v1alpha1.Group || strings.HasSuffix(group, ".istio.io")
}

func established(crd apiextensionsv1.CustomResourceDefinition) bool {
	for _, condition := range crd.Status.Conditions {
		if condition.Type == apiextensionsv1.Established {
			return condition.Status == apiextensionsv1.ConditionTrue
		}
	}
	return false
}
