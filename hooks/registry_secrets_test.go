package hooks

import (
	"errors"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/deckhouse-mesh/istio/lib/registrysecret"
)

const withRegistryPassword = `
global: {discovery: {clusterDomain: cluster-a.local, clusterUUID: uuid-a}}
istio:
  registry: {base: registry.example.com/modules, dockercfg: e30=}
  internal: {applicationNamespaces: [bank, d8-istio, shop]}
`

func aRegistrySecret(namespace, labels, kind, config string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Secret
metadata: {namespace: %s, name: d8-istio-sidecar-registry, labels: {%s}}
type: %s
data: {.dockerconfigjson: %s}
`, namespace, labels, kind, config)
}

const (
	ofThisModule     = "heritage: deckhouse, module: istio"
	dockerConfigJSON = "kubernetes.io/dockerconfigjson"
)

// registryConfig is what the Secret of a namespace has, in base64; empty where there is none.
func registryConfig(r *run, namespace string) string {
	secret := r.KubernetesResource("Secret", namespace, "d8-istio-sidecar-registry")
	if secret == nil {
		return ""
	}
	value, _, err := unstructured.NestedString(secret.Object, "data", ".dockerconfigjson")
	Expect(err).NotTo(HaveOccurred())
	return value
}

var _ = Describe("Hook registry_secrets", func() {
	// eventsIn lists the messages of the Events of a namespace.
	eventsIn := func(r *run, namespace string) []string {
		list, err := r.KubeClient().(*dynamicfake.FakeDynamicClient).Resource(eventResource).Namespace(namespace).List(GinkgoT().Context(), metav1.ListOptions{})
		Expect(err).NotTo(HaveOccurred())
		var messages []string
		for _, event := range list.Items {
			message, _, _ := unstructured.NestedString(event.Object, "message")
			messages = append(messages, message)
		}
		return messages
	}

	It("writes the credentials into the applications' namespaces, and removes them again", func() {
		r := newRun(registrySecrets(new(registrysecret.Retry)), withRegistryPassword).given(aRegistrySecret("bank", ofThisModule, dockerConfigJSON, "b2xk")).succeeds()
		Expect(registryConfig(r, "shop")).To(Equal("e30="))
		Expect(registryConfig(r, "bank")).To(Equal("e30="), "the password has changed")
		Expect(registryConfig(r, "d8-istio")).To(BeEmpty(), "the module's Pods have another")

		r = newRun(registrySecrets(new(registrysecret.Retry)), withRegistryPassword).given(aRegistrySecret("old", ofThisModule, dockerConfigJSON, "e30=")).succeeds()
		Expect(registryConfig(r, "old")).To(BeEmpty(), "no Pod there has a sidecar")
	})

	It("writes those that the operator has", func() {
		const outsideDeckhouse = `
global: {discovery: {clusterDomain: cluster-a.local, clusterUUID: uuid-a}, modulesImages: {registry: {credentials: e30=}}}
istio: {internal: {applicationNamespaces: [shop]}}
`
		r := newRun(registrySecrets(new(registrysecret.Retry)), outsideDeckhouse).succeeds()
		Expect(registryConfig(r, "shop")).To(Equal("e30="))
	})

	It("does not change a tenant's own Secret of that name, reports it there, and writes the others", func() {
		r := newRun(registrySecrets(new(registrysecret.Retry)), withRegistryPassword).given(
			aRegistrySecret("bank", "", "Opaque", "dGhlaXJz"), aNamespace("shop", "")).succeeds()
		Expect(registryConfig(r, "bank")).To(Equal("dGhlaXJz"))
		Expect(registryConfig(r, "shop")).To(Equal("e30="))
		Expect(eventsIn(r, "bank")).To(ConsistOf(ContainSubstring("that the module has not made")))
		Expect(eventsIn(r, "shop")).To(BeEmpty())
	})

	It("continues when a namespace rejects the Secret, and even the Event, and tries again later", func() {
		r := newRun(registrySecrets(new(registrysecret.Retry)), withRegistryPassword).given("")
		attempts, blocked := 0, true
		asAPIServer := r.KubeClient().(*dynamicfake.FakeDynamicClient)
		for _, resource := range []string{"secrets", "events"} {
			asAPIServer.PrependReactor("create", resource, func(action clienttesting.Action) (bool, runtime.Object, error) {
				if action.GetNamespace() != "bank" || !blocked {
					return false, nil, nil
				}
				if resource == "secrets" {
					attempts++
				}
				return true, nil, errors.New("exceeded quota")
			})
		}
		r.succeeds()
		Expect(registryConfig(r, "shop")).To(Equal("e30="))
		Expect(r.LoggerOutput().String()).To(ContainSubstring("exceeded quota"))

		r.succeeds()
		Expect(attempts).To(Equal(1), "not at once again")
		blocked = false
		r.clock.Advance(time.Minute)
		r.succeeds()
		Expect(registryConfig(r, "bank")).To(Equal("e30="))
	})
})
