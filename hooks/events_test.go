package hooks

import (
	"errors"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/deckhouse-mesh/istio/lib/names"
)

// rejectingEvents makes every Event fail, as a quota or an admission policy of its namespace does.
func (r *run) rejectingEvents() *run {
	r.hooksClient().PrependReactor("create", "events", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("exceeded quota")
	})
	return r
}

var _ = DescribeTable("A namespace that rejects Events costs the Event alone, which is logged", func(prepare func() *run, message, value string) {
	r := prepare().rejectingEvents().succeeds()
	Expect(r.LoggerOutput().String()).To(And(ContainSubstring("exceeded quota"), ContainSubstring(message)))
	Expect(r.ValuesGet(value).Exists()).To(BeTrue(), "what the hook is for is done")
},
	Entry("ca", func() *run {
		r := newRun(certificateAuthority(), federationSettings)
		r.ValuesSet("istio.ca", map[string]string{"cert": "no certificate", "key": "no key"})
		return r.given("")
	}, "settings rejected", caPath),
	Entry("copy_custom_certificate", func() *run {
		r := newRun(copyCustomCertificate(), federationSettings)
		r.ValuesSet("global.modules.https", map[string]any{"mode": "CustomCertificate", "customCertificate": map[string]string{"secretName": "public"}})
		r.ValuesSet(customCertificatePath, map[string]string{"tls.crt": "in use", "tls.key": "in use"})
		return r.given("")
	}, "https.customCertificate.secretName", customCertificatePath),
	Entry("istio_versions", func() *run {
		r := newRun(istioVersions(), settingsWithoutPeers)
		r.ValuesSet(globalVersionPath, "1.28")
		return r.given(anIstiodDeployment("v1x30"), aMutatingWebhook(names.DefaultInjector, "istio.io/rev: v1x30", "d8-istio"))
	}, "globalVersion", globalRevisionPath),
	Entry("settings_effect", func() *run {
		r := newRun(settingsEffect(), settingsWithoutPeers)
		r.ValuesSet("istio.dataPlane.trafficRedirectionSetupMode", "CNIPlugin")
		return r.given("")
	}, "is without effect", "istio.dataPlane.trafficRedirectionSetupMode"),
	Entry("federation_services", func() *run {
		return newServicesRun().given(moduleNamespace, aFederation("b", "api.shop"), `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {namespace: d8-istio, name: api.shop.b}
spec: {hosts: [www.example.com]}
`)
	}, "A service is not imported", "istio.federation.enabled"),
)
