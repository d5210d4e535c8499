package hooks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	ensurecrds "github.com/deckhouse/module-sdk/common-hooks/ensure_crds"
	sdk "github.com/deckhouse/module-sdk/pkg"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/deckhouse-mesh/istio/lib/crdwait"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

// moduleDirEnv overrides where the module's files are searched.
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
		Config: sdk.HookConfig{OnStartup: at(orderCRDs)},
		Run: func(ctx context.Context, in *sdk.HookInput) error {
			var installed []string
			// Own CRDs last: when they are there, everything is.
			for _, glob := range []string{"crds/istio/*.yaml", "crds/*.yaml"} {
				path := filepath.Join(dir, glob)
				files, err := filepath.Glob(path)
				if err != nil || len(files) == 0 {
					return fmt.Errorf("no CRDs in %s: the module is not complete (in a source tree, run `make generate`); %s names its folder", path, moduleDirEnv)
				}
				if err := ensurecrds.EnsureCRDs(ctx, in, path); err != nil {
					return err
				}
				names, err := crdNames(files)
				if err != nil {
					return err
				}
				installed = append(installed, names...)
			}
			return waitEstablished(ctx, in, installed)
		},
	}
}

// crdNames returns the names of the CRDs in files.
func crdNames(files []string) ([]string, error) {
	var names []string
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
		for {
			var crd metav1.PartialObjectMetadata
			if err := documents.Decode(&crd); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("read %s: %w", file, err)
			}
			if crd.Kind == "CustomResourceDefinition" {
				names = append(names, crd.Name)
			}
		}
	}
	return names, nil
}

// establishTimeout bounds the wait for the API server to serve new CRDs, some milliseconds usually.
const establishTimeout = 30 * time.Second

// waitEstablished waits until the API server serves the CRDs of these names: the
// hooks that subscribe to their objects start next.
func waitEstablished(ctx context.Context, in *sdk.HookInput, names []string) error {
	client, err := in.DC.GetK8sClient()
	if err != nil {
		return err
	}
	crds := client.Dynamic().Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	return crdwait.Established(ctx, func(ctx context.Context, name string) (*apiextensionsv1.CustomResourceDefinition, error) {
		object, err := crds.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		return crd, runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, crd)
	}, establishTimeout, names...)
}
