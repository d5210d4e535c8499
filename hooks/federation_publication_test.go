package hooks

import (
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
)

func aPublishedService(namespace, name, extra, spec string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata:
  namespace: %s
  name: %s
  uid: uid-%[2]s
  labels: {federation.istio.deckhouse.io/public-service: ""}
  %s
spec: {%s}
`, namespace, name, extra, spec)
}

// serviceEvents lists the warnings on Services: "<namespace>/<name> <reason>: <message>".
func (r *run) serviceEvents() []string {
	var found []string
	for _, operation := range r.PatchedOperations() {
		if event, ok := operation.Object.(*corev1.Event); ok && event.InvolvedObject.Kind == "Service" {
			Expect(event.Namespace).To(Equal(event.InvolvedObject.Namespace))
			Expect(event.InvolvedObject.UID).NotTo(BeEmpty())
			found = append(found, fmt.Sprintf("%s/%s %s: %s", event.InvolvedObject.Namespace, event.InvolvedObject.Name, event.Reason, event.Message))
		}
	}
	return found
}

var _ = Describe("Hook federation_publication", func() {
	It("says on a Service why it, or a port of it, is not published, once", func() {
		r := newRun(federationPublication(), joinedSettings).given(
			aPublishedService("shop", "good", "", "ports: [{name: http, port: 80}]"),
			aPublishedService("shop", "hidden", `annotations: {networking.istio.io/exportTo: "."}`, "ports: [{name: http, port: 80}]"),
			aPublishedService("shop", "agent", "", "internalTrafficPolicy: Local, ports: [{name: http, port: 80}]"),
			aPublishedService("shop", "dns", "", "ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]"),
			aPublishedService("shop", "long", "", "ports: [{name: http, port: 80}, {name: "+strings.Repeat("a", 63)+", port: 81}]"),
			strings.Replace(aPublishedService("shop", "no", "", "ports: []"), `public-service: ""`, `public-service: "false"`, 1),
		)
		Expect(r.succeeds().serviceEvents()).To(ConsistOf(
			And(HavePrefix("shop/hidden NotPublishedNotExported: "), ContainSubstring("namespace d8-istio")),
			And(HavePrefix("shop/agent NotPublishedNodeLocal: "), ContainSubstring("internalTrafficPolicy is Local")),
			And(HavePrefix("shop/dns NotPublishedUnsupportedProtocol: port 53 "), ContainSubstring("UDP")),
			And(HavePrefix("shop/long NotPublishedPortNameTooLong: port 81 "), ContainSubstring("62 characters")),
		))
		Expect(r.succeeds().serviceEvents()).To(BeEmpty(), "it was said")
	})

	It("bounds what one namespace can have said", func() {
		var objects []string
		for index := range 50 {
			objects = append(objects, aPublishedService("evil", fmt.Sprint("s-", index), "", "ports: [{port: 80}]"))
		}
		objects = append(objects, aPublishedService("shop", "nameless", "", "ports: [{port: 80}]"))
		events := newRun(federationPublication(), joinedSettings).given(objects...).succeeds().serviceEvents()
		Expect(events).To(HaveLen(maxPublicationEvents + 1))
		Expect(events).To(ContainElement(ContainSubstring("30 more Services or reasons in namespace evil are not named")))
		Expect(events).To(ContainElement(HavePrefix("shop/nameless NotPublishedUnnamedPort")))
	})

	It("says nothing while federation is off", func() {
		r := newRun(federationPublication(), joinedSettings).given(aPublishedService("shop", "nameless", "", "ports: [{port: 80}]"))
		r.ValuesSet("istio.federation.enabled", false)
		Expect(r.succeeds().serviceEvents()).To(BeEmpty())
	})
})
