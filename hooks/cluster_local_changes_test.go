package hooks

import (
	"context"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/deckhouse-mesh/istio/lib/names"
)

var _ = Describe("Hook cluster_local_changes", func() {
	// withHosts is the mesh configuration of a revision as Helm renders it for these cluster-local hosts.
	withHosts := func(revision string, hosts ...string) string {
		GinkgoHelper()
		mesh := map[string]any{}
		if len(hosts) > 0 {
			mesh["serviceSettings"] = []any{map[string]any{"settings": map[string]any{"clusterLocal": true}, "hosts": hosts}}
		}
		return meshConfigurationWith(revision, "", mesh)
	}
	const namespace, service = "*.private.svc.cluster-a.local", "db.shop.svc.cluster-a.local"

	It("changes the values, so that Helm runs, when people label something", func() {
		r := newRun(clusterLocalChanges(), multiclusterSettings).given(clusterLocalObjects).succeeds()
		Expect(r.ValuesGet(clusterLocalHostsPath).Raw).To(MatchJSON(`["*.private.svc.cluster-a.local", "db.shop.svc.cluster-a.local"]`))
	})

	It("writes the hosts into every revision's mesh configuration at once, as Helm will render it", func() {
		r := newRun(clusterLocalChanges(), multiclusterSettings).given(clusterLocalObjects, withHosts("v1x31"), withHosts("v1x30", service)).succeeds()
		written := r.meshPatches()
		Expect(written).To(HaveLen(2))
		Expect(written["istio-v1x31"].Data).To(Equal(map[string]string{"mesh": meshIn(withHosts("v1x31", namespace, service))}))
		Expect(written["istio-v1x30"].Data).To(Equal(map[string]string{"mesh": meshIn(withHosts("v1x30", namespace, service))}))
		Expect(written["istio-v1x31"].Metadata.ResourceVersion).To(Equal("7"), "what Helm has written meanwhile must not be lost")
		for _, action := range r.hooksClient().Actions() {
			if patch, ok := action.(clienttesting.PatchActionImpl); ok {
				Expect(patch.PatchOptions.FieldManager).To(Equal(names.ClusterLocalFieldManager), "drift repair knows it")
			}
		}
	})

	It("takes hosts away when labels go, or multicluster is switched off", func() {
		r := newRun(clusterLocalChanges(), multiclusterSettings).given(withHosts("v1x31", service)).succeeds()
		Expect(r.meshPatches()["istio-v1x31"].Data).To(Equal(map[string]string{"mesh": meshIn(withHosts("v1x31"))}))
		r = newRun(clusterLocalChanges(), federationSettings).given(clusterLocalObjects, withHosts("v1x31", service)).succeeds()
		Expect(r.meshPatches()["istio-v1x31"].Data).To(Equal(map[string]string{"mesh": meshIn(withHosts("v1x31"))}))
	})

	It("takes away what the last run has written, although no snapshot has it yet", func() {
		r := newRun(clusterLocalChanges(), multiclusterSettings).given(clusterLocalObjects, withHosts("v1x31")).succeeds()
		Expect(r.meshPatches()).To(HaveLen(1))
		r.given(withHosts("v1x31")).succeeds() // the state of snapshots; the API server has what was written
		Expect(r.meshPatches()["istio-v1x31"].Data).To(Equal(map[string]string{"mesh": meshIn(withHosts("v1x31"))}))
	})

	It("writes nothing where the hosts are there, nor into other ConfigMaps of istiod", func() {
		other := strings.NewReplacer("istio-v1x31", "istio-ca-root-cert", "{mesh: ", "{root-cert.pem: ").Replace(withHosts("v1x31"))
		r := newRun(clusterLocalChanges(), multiclusterSettings).given(clusterLocalObjects, withHosts("v1x31", namespace, service), other).succeeds()
		Expect(r.meshPatches()).To(BeEmpty())
	})

	// failing has the API server fail the first requests of the verb.
	failing := func(r *run, verb string, failure error, times int) {
		r.hooksClient().PrependReactor(verb, "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
			times--
			return times >= 0, nil, failure
		})
	}
	conflict := apierrors.NewConflict(configMapResource.GroupResource(), "istio-v1x31", nil)

	It("writes into what others have written meanwhile", func() {
		r := newRun(clusterLocalChanges(), multiclusterSettings).given(clusterLocalObjects, withHosts("v1x31"))
		failing(r, "patch", conflict, 2)
		r.succeeds()
		written, err := r.hooksClient().Resource(configMapResource).Namespace(names.Namespace).Get(context.Background(), "istio-v1x31", metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(written.Object["data"]).To(HaveKeyWithValue("mesh", meshIn(withHosts("v1x31", namespace, service))))
	})

	It("succeeds where a revision goes meanwhile", func() {
		r := newRun(clusterLocalChanges(), multiclusterSettings).given(clusterLocalObjects, withHosts("v1x31"))
		failing(r, "patch", apierrors.NewNotFound(configMapResource.GroupResource(), "istio-v1x31"), 1)
		r.succeeds()
		Expect(r.ValuesGet(clusterLocalHostsPath).Array()).To(HaveLen(2))
	})

	DescribeTable("fails, and so runs again, where it cannot write: Helm would leave a host whose label goes in between",
		func(verb string, failure error, says string) {
			r := newRun(clusterLocalChanges(), multiclusterSettings).given(clusterLocalObjects, withHosts("v1x31"))
			failing(r, verb, failure, 1_000)
			r.RunHook()
			Expect(r.HookError()).To(MatchError(ContainSubstring(says)))
		},
		Entry("since others write again and again", "patch", conflict, "write cluster-local hosts into ConfigMap istio-v1x31"),
		Entry("since the API server rejects it", "patch", apierrors.NewForbidden(configMapResource.GroupResource(), "istio-v1x31", nil), "write cluster-local hosts into ConfigMap istio-v1x31"),
		Entry("since it cannot be read", "list", apierrors.NewTimeoutError("too busy", 1), "list the mesh configurations"),
	)

	It("leaves to Helm a configuration that cannot be read", func() {
		r := newRun(clusterLocalChanges(), multiclusterSettings)
		r.given(clusterLocalObjects, strings.Replace(withHosts("v1x31"), `data: {mesh: "`, `data: {mesh: "serviceSettings: [`, 1)).succeeds()
		Expect(r.meshPatches()).To(BeEmpty())
		Expect(r.LoggerOutput().String()).To(ContainSubstring("Helm will replace it"))
	})
})
