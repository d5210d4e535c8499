package hooks

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("The ports of this cluster's API servers", func() {
	slice := func(ports string) string {
		return `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: default, name: kubernetes}
addressType: IPv4
endpoints: [{addresses: [192.168.0.10]}]
ports: ` + ports + "\n"
	}
	ports := func(r *run) string { return r.ValuesGet(apiServerPortsPath).String() }

	It("are those of their own EndpointSlice, each once", func() {
		r := newRun(apiServerPorts(), federationSettings).given(slice(`[{name: https, port: 6443}, {name: other, port: 443}, {name: again, port: 6443}]`)).succeeds()
		Expect(ports(r)).To(MatchJSON(`[443, 6443]`))
		r.given(slice(`[{name: https, port: 16443}]`)).succeeds()
		Expect(ports(r)).To(MatchJSON(`[16443]`))
	})

	It("stay the last known ones while none is named", func() {
		r := newRun(apiServerPorts(), federationSettings).given(slice(`[{name: https, port: 6443}]`)).succeeds()
		for _, none := range []string{slice(`[]`), slice(`[{name: all}]`), ""} {
			r.given(none).succeeds()
			Expect(ports(r)).To(MatchJSON(`[6443]`))
		}
	})
})
