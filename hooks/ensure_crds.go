package hooks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	ensurecrds "github.com/deckhouse/module-sdk/common-hooks/ensure_crds"
	sdk "github.com/deckhouse/module-sdk/pkg"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"

	"github.com/deckhouse-mesh/istio/lib/crdschema"
	"github.com/deckhouse-mesh/istio/lib/crdwait"
	"github.com/deckhouse-mesh/istio/lib/echo"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

// moduleDirEnv overrides where the module's files are searched.
const moduleDirEnv = "ISTIO_MODULE_DIR"

// establishTimeout bounds the wait for the API server to serve new CRDs, some milliseconds usually.
const establishTimeout = 30 * time.Second

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
// never deleted, because people's objects are in them. Nor are newer ones replaced.
func ensureCRDs(dir string) hookruntime.Hook {
	return hookruntime.Hook{
		Name:   "ensure_crds",
		Config: sdk.HookConfig{OnStartup: at(orderCRDs)},
		Run: func(ctx context.Context, in *sdk.HookInput) error {
			client, err := in.DC.GetK8sClient()
			if err != nil {
				return err
			}
			get := crdGetter(client.Dynamic().Resource(crdResource))
			var installed []string
			// Own CRDs last: when they are there, everything is.
			for _, glob := range []string{"crds/istio/*.yaml", "crds/*.yaml"} {
				path := filepath.Join(dir, glob)
				files, err := filepath.Glob(path)
				if err != nil || len(files) == 0 {
					return fmt.Errorf("no CRDs in %s: the module is not complete (in a source tree, run `make generate`); %s names its folder", path, moduleDirEnv)
				}
				found, err := readCRDs(files)
				if err != nil {
					return err
				}
				if err := ensureUnlessNewer(ctx, in, get, found); err != nil {
					return err
				}
				for _, crd := range found {
					installed = append(installed, crd.Name)
				}
			}
			// The hooks that subscribe to their objects start next.
			return crdwait.Established(ctx, get, establishTimeout, installed...)
		},
	}
}

// ensureUnlessNewer installs the CRDs, except those of which the cluster has
// one with more fields: a newer Istio's, beside which the module is switched on,
// or a newer version of the module's own, after a downgrade.
func ensureUnlessNewer(ctx context.Context, in *sdk.HookInput, get crdwait.Get, found []crdFile) error {
	dir, err := os.MkdirTemp("", "istio-crds-")
	if err != nil {
		return fmt.Errorf("make a folder for the CRDs to install: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	for _, crd := range found {
		installed, err := get(ctx, crd.Name)
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("read CustomResourceDefinition %s: %w", crd.Name, err)
		}
		if err == nil {
			if beyond := crdschema.Beyond(installed, &crd.CustomResourceDefinition); len(beyond) > 0 {
				reportNewerCRD(ctx, in, crd.Name, beyond)
				continue
			}
		}
		if err := os.WriteFile(filepath.Join(dir, crd.Name+".yaml"), crd.text, 0o600); err != nil {
			return fmt.Errorf("prepare CustomResourceDefinition %s: %w", crd.Name, err)
		}
	}
	return ensurecrds.EnsureCRDs(ctx, in, filepath.Join(dir, "*.yaml"))
}

// reportNewerCRD reports that a CRD is not replaced, and why.
func reportNewerCRD(ctx context.Context, in *sdk.HookInput, name string, beyond []string) {
	const listed = 5
	list := strings.Join(beyond[:min(len(beyond), listed)], ", ")
	if more := len(beyond) - listed; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	message := echo.Text(fmt.Sprintf("CustomResourceDefinition %s is not replaced: it has fields that the module's own does not have (%s), so it belongs to a newer release. "+
		"Otherwise objects would lose these fields. To have the module's own, delete these fields from it, or upgrade the module.", name, list), 1024)
	in.Logger.Warn(message)
	report(ctx, in, moduleConfigEvent(newerCRDEvent, message))
}

// newerCRDEvent is the reason of the Event on the ModuleConfig when a CRD is not replaced.
const newerCRDEvent = "NewerCRDKept"

var crdResource = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

func crdGetter(crds dynamic.ResourceInterface) crdwait.Get {
	return func(ctx context.Context, name string) (*apiextensionsv1.CustomResourceDefinition, error) {
		object, err := crds.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		var crd apiextensionsv1.CustomResourceDefinition
		return &crd, runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &crd)
	}
}

// crdFile is a CRD of the module's files.
type crdFile struct {
	apiextensionsv1.CustomResourceDefinition

	// text is its document, in JSON.
	text []byte
}

// readCRDs returns the CRDs in files.
func readCRDs(files []string) ([]crdFile, error) {
	var found []crdFile
	for _, file := range files {
		if strings.HasPrefix(filepath.Base(file), "doc-") {
			continue // a translation of its descriptions
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
		for {
			var document json.RawMessage
			var crd crdFile
			if err = documents.Decode(&document); errors.Is(err, io.EOF) {
				break
			}
			if err == nil && (len(document) == 0 || string(document) == "null") {
				continue // nothing but a separator
			}
			if err == nil {
				err = json.Unmarshal(document, &crd.CustomResourceDefinition)
			}
			if err == nil && crd.Kind != "CustomResourceDefinition" {
				err = fmt.Errorf("there is a %s among the CRDs", crd.Kind)
			}
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", file, err)
			}
			crd.text = document
			found = append(found, crd)
		}
	}
	return found, nil
}
