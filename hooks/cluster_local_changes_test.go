package hooks

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("Hook cluster_local_changes", func() {
	It("changes the values, so that Helm runs, when people label something", func() {
		r := newRun(clusterLocalChanges(), multiclusterSettings).given(clusterLocalObjects).succeeds()
		Expect(r.ValuesGet(clusterLocalHostsPath).Raw).To(MatchJSON(`["*.private.svc.cluster-a.local", "db.shop.svc.cluster-a.local"]`))
	})
})
