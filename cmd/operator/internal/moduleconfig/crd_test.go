package moduleconfig

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset/fake"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	k8stesting "k8s.io/client-go/testing"
)

const exampleCRD = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: moduleconfigs.deckhouse.io}
spec:
  group: deckhouse.io
  versions:
    - name: v1alpha1
      schema: {openAPIV3Schema: {type: object, x-doc-examples: []}}
`

func established(crd *apiextensionsv1.CustomResourceDefinition) *apiextensionsv1.CustomResourceDefinition {
	crd.Status.Conditions = []apiextensionsv1.CustomResourceDefinitionCondition{{Type: apiextensionsv1.Established, Status: apiextensionsv1.ConditionTrue}}
	return crd
}

// establishing is an API server that accepts CRDs.
func establishing() *fake.Clientset {
	client := fake.NewSimpleClientset()
	client.PrependReactor("create", "customresourcedefinitions", func(action k8stesting.Action) (bool, runtime.Object, error) {
		crd := action.(k8stesting.CreateAction).GetObject().(*apiextensionsv1.CustomResourceDefinition)
		return true, crd, client.Tracker().Add(established(crd))
	})
	return client
}

func TestEnsureCRD(t *testing.T) {
	ctx := context.Background()

	t.Run("installs the CRD from the folder", func(t *testing.T) {
		g := NewWithT(t)
		dir := t.TempDir()
		g.Expect(os.WriteFile(filepath.Join(dir, crdFile), []byte(exampleCRD), 0o600)).To(Succeed())
		client := establishing()
		g.Expect(EnsureCRD(ctx, client, dir)).To(Succeed())
		crd, err := client.ApiextensionsV1().CustomResourceDefinitions().Get(ctx, crdName, metav1.GetOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(crd.Spec.Group).To(Equal("deckhouse.io"))
	})

	t.Run("leaves the CRD of somebody else alone", func(t *testing.T) {
		g := NewWithT(t)
		client := fake.NewSimpleClientset(established(&apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: crdName}}))
		g.Expect(EnsureCRD(ctx, client, "/nowhere")).To(Succeed())
		for _, action := range client.Actions() {
			g.Expect(action.GetVerb()).To(Equal("get"))
		}
	})

	t.Run("says what to do when there is nothing to install", func(t *testing.T) {
		g := NewWithT(t)
		g.Expect(EnsureCRD(ctx, establishing(), t.TempDir())).To(MatchError(ContainSubstring("point --crds-dir at the folder")))
	})

	t.Run("rejects a file with another CRD", func(t *testing.T) {
		g := NewWithT(t)
		dir := t.TempDir()
		g.Expect(os.WriteFile(filepath.Join(dir, crdFile), []byte("{kind: CustomResourceDefinition, metadata: {name: others}}"), 0o600)).To(Succeed())
		g.Expect(EnsureCRD(ctx, establishing(), dir)).To(MatchError(ContainSubstring(`holds CRD "others"`)))
	})
}
