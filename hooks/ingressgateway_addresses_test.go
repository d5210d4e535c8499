package hooks

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const gatewayObjects = `
apiVersion: v1
kind: Service
metadata: {namespace: d8-istio, name: ingressgateway}
spec:
  type: LoadBalancer
  ports:
  - {name: status, port: 15021, nodePort: 30021}
  - {name: tls, port: 15443, nodePort: 30443}
status:
  loadBalancer: {ingress: [{ip: 192.0.2.7}, {hostname: lb.example.com}]}
---
apiVersion: v1
kind: Node
metadata: {name: one, labels: {role: edge}}
status:
  addresses: [{type: Hostname, address: one}, {type: InternalIP, address: 10.0.0.1}, {type: ExternalIP, address: 198.51.100.1}]
  conditions: [{type: Ready, status: "True"}]
---
apiVersion: v1
kind: Node
metadata: {name: two}
status:
  addresses: [{type: InternalIP, address: 10.0.0.2}]
  conditions: [{type: Ready, status: "False"}]
`

var _ = Describe("Hook ingressgateway_addresses", func() {
	addresses := func(r *run) string {
		GinkgoHelper()
		return r.succeeds().ValuesGet(ingressGatewaysPath).Raw
	}

	It("publishes the load balancer's addresses", func() {
		Expect(addresses(newRun(ingressGatewayAddresses(), federationSettings).given(gatewayObjects))).To(
			MatchJSON(`[{"address": "192.0.2.7", "port": 15443}, {"address": "lb.example.com", "port": 15443}]`))
	})

	It("publishes ready nodes and the node port", func() {
		r := newRun(ingressGatewayAddresses(), federationSettings).given(gatewayObjects)
		r.ValuesSet("istio.alliance.ingressGateway.inlet", "NodePort")
		Expect(addresses(r)).To(MatchJSON(`[{"address": "198.51.100.1", "port": 30443}]`))
	})

	It("publishes what the settings advertise", func() {
		r := newRun(ingressGatewayAddresses(), federationSettings).given(gatewayObjects)
		r.ValuesSet("istio.alliance.ingressGateway.advertise", []map[string]any{{"address": "203.0.113.5", "port": 443}})
		Expect(addresses(r)).To(MatchJSON(`[{"address": "203.0.113.5", "port": 443}]`))
	})

	It("publishes nothing without a Service, and reports why", func() {
		r := newRun(ingressGatewayAddresses(), federationSettings).given("")
		Expect(addresses(r)).To(MatchJSON(`[]`))
		Expect(r.LoggerOutput().String()).To(ContainSubstring("does not exist yet"))
	})

	It("retains the published addresses while there is none, and reports why", func() {
		r := newRun(ingressGatewayAddresses(), federationSettings).given(gatewayObjects)
		before := addresses(r)
		r.given("")
		Expect(addresses(r)).To(MatchJSON(before))
		Expect(r.LoggerOutput().String()).To(And(ContainSubstring("are retained"), ContainSubstring("does not exist yet")))

		r.ValuesSet("istio.federation.enabled", false)
		Expect(addresses(r)).To(MatchJSON(`[]`), "only leaving the alliance clears them")
	})

	It("retains what an earlier process published", func() {
		published := func(document string) string {
			return "apiVersion: v1\nkind: ConfigMap\nmetadata: {namespace: d8-istio, name: metadata-exporter}\ndata: {ingress-gateways.json: '" + document + "'}\n"
		}
		for document, want := range map[string]string{
			`[{"address": "192.0.2.7", "port": 15443}, {"address": "", "port": 0}]`: `[{"address": "192.0.2.7", "port": 15443}]`,
			`[`: `[]`,
		} {
			Expect(addresses(newRun(ingressGatewayAddresses(), federationSettings).given(published(document)))).To(MatchJSON(want))
		}
		Expect(addresses(newRun(ingressGatewayAddresses(), federationSettings).given(gatewayObjects, published(`[{"address": "203.0.113.1", "port": 1}]`)))).To(
			ContainSubstring("192.0.2.7"), "an address that is there counts alone")
	})

	It("publishes nothing without peers", func() {
		r := newRun(ingressGatewayAddresses(), federationSettings).given(gatewayObjects)
		r.ValuesSet("istio.federation.enabled", false)
		Expect(addresses(r)).To(MatchJSON(`[]`))
	})
})
