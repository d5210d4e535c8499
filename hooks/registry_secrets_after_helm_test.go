package hooks

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/deckhouse-mesh/istio/lib/registrysecret"
)

var _ = Describe("Hook registry_secrets_after_helm", func() {
	It("writes new credentials, and what Helm has deleted with a former release", func() {
		r := newRun(registrySecretsAfterHelm(new(registrysecret.Retry)), withRegistryPassword).given(aRegistrySecret("bank", ofThisModule, dockerConfigJSON, "b2xk")).succeeds()
		Expect(registryConfig(r, "bank")).To(Equal("e30="), "the password has changed")
		Expect(registryConfig(r, "shop")).To(Equal("e30="), "there was none")
	})
})
