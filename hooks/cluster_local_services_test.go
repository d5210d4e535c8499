package hooks

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("Hook cluster_local_services", func() {
	const objects = `
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
	It("finds what people have labelled", func() {
		r := newRun(clusterLocalServices(), multiclusterSettings).given(objects).succeeds()
		Expect(r.ValuesGet(clusterLocalHostsPath).Raw).To(MatchJSON(`["*.private.svc.cluster-a.local", "db.shop.svc.cluster-a.local"]`))
		r.ValuesSet("istio.multicluster.enabled", false)
		r.succeeds()
		Expect(r.ValuesGet(clusterLocalHostsPath).Raw).To(MatchJSON(`[]`))
	})
})
