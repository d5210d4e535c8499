package hooks

import (
	"encoding/json"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"
)

// aMeshConfiguration is the ConfigMap of a revision as Helm writes it with these certificates; annotations are the content of YAML in braces.
func aMeshConfiguration(revision, annotations string, certificates ...map[string]any) string {
	GinkgoHelper()
	mesh := map[string]any{}
	if len(certificates) > 0 {
		mesh["caCertificates"] = certificates
	}
	return meshConfigurationWith(revision, annotations, mesh)
}

// meshConfigurationWith is such a ConfigMap with these fields besides.
func meshConfigurationWith(revision, annotations string, mesh map[string]any) string {
	GinkgoHelper()
	mesh["rootNamespace"], mesh["trustDomain"] = "d8-istio", "cluster-a.local"
	text, err := yaml.Marshal(mesh)
	Expect(err).NotTo(HaveOccurred())
	return fmt.Sprintf(`
apiVersion: v1
kind: ConfigMap
metadata: {namespace: d8-istio, name: istio-%s, resourceVersion: "7", labels: {heritage: deckhouse, module: istio, app: istiod}, annotations: {%s}}
data: {mesh: %q, meshNetworks: "networks: {}"}
`, revision, annotations, strings.TrimSuffix(string(text), "\n"))
}

// meshPatch is a patch of a mesh configuration.
type meshPatch struct {
	Metadata struct {
		ResourceVersion string            `json:"resourceVersion"`
		Annotations     map[string]string `json:"annotations"`
	} `json:"metadata"`
	Data map[string]string `json:"data"`
}

// meshPatches are the patches of the last run by the name of the ConfigMap.
func (r *run) meshPatches() map[string]meshPatch {
	GinkgoHelper()
	found := map[string]meshPatch{}
	for _, action := range r.hooksClient().Actions() {
		patch, ok := action.(clienttesting.PatchAction)
		if !ok || action.GetResource() != configMapResource {
			continue
		}
		var written meshPatch
		Expect(json.Unmarshal(patch.GetPatch(), &written)).To(Succeed())
		Expect(action.GetNamespace()).To(Equal("d8-istio"))
		found[patch.GetName()] = written
	}
	return found
}

// meshIn is the mesh configuration in the manifest of its ConfigMap.
func meshIn(manifest string) string {
	GinkgoHelper()
	var configuration struct {
		Data map[string]string `json:"data"`
	}
	Expect(yaml.Unmarshal([]byte(manifest), &configuration)).To(Succeed())
	return configuration.Data["mesh"]
}
