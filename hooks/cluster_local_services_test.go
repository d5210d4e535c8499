package hooks

import (
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	dynamicfake "k8s.io/client-go/dynamic/fake"
)

const clusterLocalObjects = `
apiVersion: v1
kind: Namespace
metadata: {name: private, labels: {multicluster.istio.deckhouse.io/cluster-local: ""}}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop, labels: {multicluster.istio.deckhouse.io/cluster-local: "true"}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
`

var _ = Describe("Hook cluster_local_services", func() {
	It("finds what people have labelled", func() {
		r := newRun(clusterLocalServices(), multiclusterSettings).given(clusterLocalObjects).succeeds()
		Expect(r.ValuesGet(clusterLocalHostsPath).Raw).To(MatchJSON(`["*.private.svc.cluster-a.local", "db.shop.svc.cluster-a.local"]`))
		r.ValuesSet("istio.multicluster.enabled", false)
		r.succeeds()
		Expect(r.ValuesGet(clusterLocalHostsPath).Raw).To(MatchJSON(`[]`))
	})

	It("makes a namespace with too many labels cluster-local as a whole, and says so there, once", func() {
		var labelled strings.Builder
		labelled.WriteString(clusterLocalObjects)
		for number := range 65 {
			fmt.Fprintf(&labelled, "---\napiVersion: v1\nkind: Service\nmetadata: {name: s-%d, namespace: evil, labels: {multicluster.istio.deckhouse.io/cluster-local: \"\"}}\n", number)
		}
		r := newRun(clusterLocalServices(), multiclusterSettings).given(labelled.String()).succeeds()
		Expect(r.ValuesGet(clusterLocalHostsPath).Raw).To(MatchJSON(`["*.evil.svc.cluster-a.local", "*.private.svc.cluster-a.local", "db.shop.svc.cluster-a.local"]`))
		r.succeeds()
		list, err := r.KubeClient().(*dynamicfake.FakeDynamicClient).Resource(eventResource).List(GinkgoT().Context(), metav1.ListOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(list.Items).To(HaveLen(1))
		Expect(list.Items[0].GetNamespace()).To(Equal("evil"))
		message, _, _ := unstructured.NestedString(list.Items[0].Object, "message")
		Expect(message).To(ContainSubstring("Label the namespace instead"))
	})
})
