package moduleconfig

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/lib/crdwait"
)

const (
	crdName = "moduleconfigs.deckhouse.io"
	crdFile = "module-config.yaml"
)

// EnsureCRD installs the ModuleConfig CRD from crdsDir unless the cluster has
// it, and waits until the API server serves it. A CRD that is there, Deckhouse's
// for example, is left alone.
func EnsureCRD(ctx context.Context, client apiextensions.Interface, crdsDir string) error {
	crds := client.ApiextensionsV1().CustomResourceDefinitions()
	_, err := crds.Get(ctx, crdName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		err = createCRD(ctx, client, filepath.Join(crdsDir, crdFile))
	}
	if err != nil {
		return fmt.Errorf("look for CRD %s: %w", crdName, err)
	}

	return crdwait.Established(ctx, func(ctx context.Context, name string) (*apiextensionsv1.CustomResourceDefinition, error) {
		return crds.Get(ctx, name, metav1.GetOptions{})
	}, time.Minute, crdName)
}

func createCRD(ctx context.Context, client apiextensions.Interface, file string) error {
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("it is not installed, and there is no %s to install it from: apply the CRD, or point --crds-dir at the folder with %s", file, crdFile)
	}
	if err != nil {
		return err
	}
	var crd apiextensionsv1.CustomResourceDefinition
	// Not strict: the schema carries extensions for documentation, x-doc-examples.
	if err := yaml.Unmarshal(raw, &crd); err != nil {
		return fmt.Errorf("parse %s: %w", file, err)
	}
	if crd.Name != crdName {
		return fmt.Errorf("%s holds CRD %q, not %s", file, crd.Name, crdName)
	}
	_, err = client.ApiextensionsV1().CustomResourceDefinitions().Create(ctx, &crd, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("install it: %w", err)
	}
	return nil
}
