package hooks

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/deckhouse-mesh/istio/lib/ca"
)

var orphanRoots = map[string]string{}

// pemOf is the root certificate of that name, in the form of a YAML string.
func pemOf(name string) string {
	if orphanRoots[name] == "" {
		authority, err := ca.Generate(name)
		if err != nil {
			panic(err)
		}
		orphanRoots[name] = strings.ReplaceAll(authority.Root, "\n", `\n`)
	}
	return orphanRoots[name]
}

var orphanObjects = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: of-module, labels: {heritage: deckhouse, module: istio}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: elsewhere}
webhooks: [{name: a.istio.io, clientConfig: {service: {namespace: istio-system, name: istiod}}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: points-here}
webhooks: [{name: a.istio.io, clientConfig: {service: {namespace: d8-istio, name: istiod}}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {namespace: shop, name: istio-ca-root-cert, labels: {istio.io/config: "true"}}
data: {root-cert.pem: "` + pemOf("ours") + `"}
---
apiVersion: v1
kind: ConfigMap
metadata: {namespace: foreign, name: istio-ca-root-cert, labels: {istio.io/config: "true"}}
data: {root-cert.pem: "` + pemOf("foreign") + `"}
---
apiVersion: v1
kind: ConfigMap
metadata: {namespace: web, name: istio-ca-root-cert}
---
apiVersion: v1
kind: Secret
metadata: {namespace: shop, name: d8-istio-sidecar-registry, labels: {heritage: deckhouse, module: istio}}
---
apiVersion: v1
kind: Secret
metadata: {namespace: d8-system, name: istio-ca, labels: {heritage: deckhouse, module: istio}}
data: {root-cert.pem: ` + base64.StdEncoding.EncodeToString([]byte(strings.ReplaceAll(pemOf("ours"), `\n`, "\n"))) + `}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: istio, managedFields: [{manager: pilot-discovery, operation: Update}]}
spec: {controllerName: istio.io/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: mine, managedFields: [{manager: kubectl, operation: Update}]}
spec: {controllerName: istio.io/gateway-controller}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {namespace: shop, name: mine}
`

// remaining are those of the names that exist.
func remaining(r *run, kind string, names ...string) []string {
	GinkgoHelper()
	var found []string
	for _, name := range names {
		if r.KubernetesGlobalResource(kind, name) != nil {
			found = append(found, name)
		}
	}
	return found
}

var _ = Describe("Hook orphan_removal", func() {
	asAPIServer := func(r *run) *dynamicfake.FakeDynamicClient {
		return r.KubeClient().(*dynamicfake.FakeDynamicClient)
	}

	It("deletes what istiod left behind, and nothing that people made", func() {
		r := newRun(orphanRemoval(time.Millisecond, 30*time.Second), settingsWithoutPeers).given(orphanObjects).succeeds()
		Expect(remaining(r, "MutatingWebhookConfiguration", "of-module", "elsewhere")).To(Equal([]string{"elsewhere"}))
		Expect(remaining(r, "ValidatingWebhookConfiguration", "points-here")).To(BeEmpty())
		Expect(remaining(r, "GatewayClass", "istio", "mine")).To(Equal([]string{"mine"}))
		Expect(r.KubernetesResource("ConfigMap", "shop", "istio-ca-root-cert")).To(BeNil())
		Expect(r.KubernetesResource("ConfigMap", "web", "istio-ca-root-cert")).NotTo(BeNil())
		Expect(r.KubernetesResource("ConfigMap", "foreign", "istio-ca-root-cert")).NotTo(BeNil(), "another istiod would write it again for ever")
		Expect(r.KubernetesResource("Secret", "shop", "d8-istio-sidecar-registry")).To(BeNil())
		Expect(r.KubernetesResource("Secret", "d8-system", "istio-ca")).NotTo(BeNil(), "the CA outlives the module")
		Expect(r.KubernetesResource("DestinationRule", "shop", "mine")).NotTo(BeNil())
	})

	It("deletes again what a terminating istiod writes again", func() {
		r := newRun(orphanRemoval(time.Millisecond, 30*time.Second), settingsWithoutPeers).given(orphanObjects)
		configMaps := schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
		written := 0
		asAPIServer(r).PrependReactor("delete", "configmaps", func(action clienttesting.Action) (bool, runtime.Object, error) {
			if written < 2 {
				// As if it was created again at once.
				written++
				return true, nil, nil
			}
			return false, nil, nil
		})
		r.succeeds()
		Expect(written).To(Equal(2))
		_, err := asAPIServer(r).Tracker().Get(configMaps, "shop", "istio-ca-root-cert")
		Expect(errors.IsNotFound(err)).To(BeTrue())
	})

	It("ends when an object is created again without end, and reports it", func() {
		r := newRun(orphanRemoval(time.Millisecond, 50*time.Millisecond), settingsWithoutPeers).given(orphanObjects)
		asAPIServer(r).PrependReactor("delete", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, nil
		})
		r.succeeds()
		Expect(r.LoggerOutput().String()).To(ContainSubstring("created again after their deletion"))
	})

	It("finds its roots in the values, too", func() {
		r := newRun(orphanRemoval(time.Millisecond, 30*time.Second), settingsWithoutPeers).given(orphanObjects)
		Expect(asAPIServer(r).Resource(schema.GroupVersionResource{Version: "v1", Resource: "secrets"}).
			Namespace("d8-system").Delete(context.Background(), "istio-ca", metav1.DeleteOptions{})).To(Succeed())
		r.ValuesSet("istio.internal.ca.root", strings.ReplaceAll(pemOf("ours"), `\n`, "\n"))
		r.succeeds()
		Expect(r.KubernetesResource("ConfigMap", "shop", "istio-ca-root-cert")).To(BeNil())
	})

	It("works without the Gateway API", func() {
		r := newRun(orphanRemoval(time.Millisecond, 30*time.Second), settingsWithoutPeers).given(aMutatingWebhook("of-module", "heritage: deckhouse, module: istio", "d8-istio"))
		asAPIServer(r).PrependReactor("list", "gatewayclasses", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, errors.NewNotFound(schema.GroupResource{Group: "gateway.networking.k8s.io", Resource: "gatewayclasses"}, "")
		})
		r.succeeds()
		Expect(remaining(r, "MutatingWebhookConfiguration", "of-module")).To(BeEmpty())
	})

	It("is not stopped by a namespace that rejects the deletion, and deletes what is in the others", func() {
		const other = `
apiVersion: v1
kind: ConfigMap
metadata: {namespace: bank, name: istio-ca-root-cert, labels: {istio.io/config: "true"}}
data: {root-cert.pem: "%s"}
`
		r := newRun(orphanRemoval(time.Millisecond, 30*time.Second), settingsWithoutPeers).given(orphanObjects, fmt.Sprintf(other, pemOf("ours")))
		asAPIServer(r).PrependReactor("delete", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
			if action.GetNamespace() == "bank" {
				return true, nil, errors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "istio-ca-root-cert", nil)
			}
			return false, nil, nil
		})
		r.succeeds()
		Expect(r.KubernetesResource("ConfigMap", "shop", "istio-ca-root-cert")).To(BeNil())
		Expect(r.KubernetesResource("Secret", "shop", "d8-istio-sidecar-registry")).To(BeNil())
		Expect(r.LoggerOutput().String()).To(And(ContainSubstring("bank/istio-ca-root-cert"), ContainSubstring("forbidden")))
	})

	It("reports which object could not be deleted", func() {
		r := newRun(orphanRemoval(time.Millisecond, 30*time.Second), settingsWithoutPeers).given(orphanObjects)
		asAPIServer(r).PrependReactor("delete", "gatewayclasses", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, errors.NewForbidden(schema.GroupResource{Resource: "gatewayclasses"}, "istio", nil)
		})
		r.RunHook()
		Expect(r.HookError()).To(MatchError(And(ContainSubstring("gatewayclasses"), ContainSubstring("istio"))))
	})
})
