package hooks

import (
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/deckhouse-mesh/istio/lib/authn"
)

var _ = Describe("Hook multicluster_remote_secrets", func() {
	keyed := func() *run {
		GinkgoHelper()
		keypair, err := authn.GenerateKeypair()
		Expect(err).NotTo(HaveOccurred())
		r := newRun(multiclusterRemoteSecrets(), multiclusterSettings)
		r.ValuesSet("istio.internal.remoteAuthnKeypair", map[string]string{"priv": keypair.Priv, "pub": keypair.Pub})
		return r
	}
	kubeconfigs := func(r *run) map[string]string {
		found := map[string]string{}
		for name, value := range r.ValuesGet(remoteKubeconfigsPath).Map() {
			found[name] = value.String()
		}
		return found
	}

	It("makes a kubeconfig for each accepted cluster, once", func() {
		r := keyed().given(aMulticluster("b", ""), aMulticluster("c", "  metadata: {insecureSkipVerify: true}")).succeeds()
		first := kubeconfigs(r)
		Expect(first).To(HaveLen(2))
		config, err := clientcmd.Load([]byte(first["b"]))
		Expect(err).NotTo(HaveOccurred())
		Expect(config.Clusters["b"].Server).To(Equal("https://istio-api-proxy.b.example.com"))
		Expect(config.AuthInfos["b"].Token).NotTo(BeEmpty())
		r.clock.Advance(24 * time.Hour)
		Expect(kubeconfigs(r.succeeds())).To(Equal(first))
		Expect(r.ValuesGet(replacedKubeconfigsPath).Raw).To(MatchJSON(`[]`))
		r.clock.Advance(4 * 24 * time.Hour)
		Expect(kubeconfigs(r.succeeds())["b"]).NotTo(Equal(first["b"]))
		replaced := r.ValuesGet(replacedKubeconfigsPath).Array()
		Expect(replaced).To(HaveLen(2))
		Expect(r.succeeds().ValuesGet(replacedKubeconfigsPath).Array()).To(Equal(replaced))
	})

	It("retains what an earlier process rendered", func() {
		r := keyed().given(aMulticluster("b", "")).succeeds()
		first := kubeconfigs(r)
		rendered := strings.Replace(aSecret("d8-istio", remoteSecretPrefix+"b", first),
			"name: istio-remote-secret-b}", `name: istio-remote-secret-b, labels: {istio/multiCluster: "true"}}`, 1)
		r.ValuesSet(remoteKubeconfigsPath, map[string]string{})
		Expect(kubeconfigs(r.given(aMulticluster("b", ""), rendered).succeeds())).To(Equal(first))
	})

	It("makes none for a cluster that cannot be entered, and for one whose API is not known", func() {
		closed := strings.Replace(aMulticluster("b", ""), "[{address: 192.0.2.7, port: 15443}]", "[]", 1)
		Expect(kubeconfigs(keyed().given(closed).succeeds())).To(BeEmpty())
		flat := strings.Replace(closed, "status:", "  enableIngressGateway: false\nstatus:", 1)
		Expect(kubeconfigs(keyed().given(flat).succeeds())).To(HaveKey("b"))
		before, _, _ := strings.Cut(aMulticluster("b", ""), "    private:")
		Expect(kubeconfigs(keyed().given(before).succeeds())).To(BeEmpty())
	})

	It("uses changed TLS settings once the peer has answered under them", func() {
		const trusted, changed = "  metadata: {ca: one}", "  metadata: {ca: other}"
		answered := func(spec, status string, observed int) string {
			manifest := strings.Replace(aMulticluster("b", spec), "generation: 1", "generation: 2", 1)
			return strings.Replace(manifest, "status:\n", fmt.Sprintf(
				"status:\n  conditions: [{type: PublicMetadataFetched, status: %q, observedGeneration: %d}]\n", status, observed), 1)
		}
		r := keyed().given(answered(trusted, "True", 2)).succeeds()
		first := kubeconfigs(r)
		Expect(first).To(HaveKey("b"))
		for _, doubted := range []string{answered(changed, "True", 1), answered(changed, "False", 2)} {
			Expect(kubeconfigs(r.given(doubted).succeeds())).To(Equal(first))
		}
		Expect(kubeconfigs(r.given(answered(changed, "True", 2)).succeeds())).NotTo(Equal(first))
	})

	It("removes it with the resource, and all when multicluster is switched off", func() {
		r := keyed().given(aMulticluster("b", ""), aMulticluster("c", "")).succeeds()
		Expect(kubeconfigs(r.given(aMulticluster("c", "")).succeeds())).To(And(HaveKey("c"), HaveLen(1)))
		r.ValuesSet("istio.multicluster.enabled", false)
		Expect(kubeconfigs(r.succeeds())).To(BeEmpty())
	})

	It("waits for this cluster's key", func() {
		r := newRun(multiclusterRemoteSecrets(), multiclusterSettings).given(aMulticluster("b", "")).succeeds()
		Expect(r.ValuesGet(remoteKubeconfigsPath).Exists()).To(BeFalse())
	})
})
