package hooks

import (
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	dynamicfake "k8s.io/client-go/dynamic/fake"
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
	list, err := r.KubeClient().(*dynamicfake.FakeDynamicClient).Resource(eventResource).List(GinkgoT().Context(), metav1.ListOptions{})
	Expect(err).NotTo(HaveOccurred())
	var found []string
	for _, item := range list.Items {
		var event corev1.Event
		Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, &event)).To(Succeed())
		Expect(event.InvolvedObject.Kind).To(Equal("Service"))
		Expect(event.Namespace).To(Equal(event.InvolvedObject.Namespace))
		Expect(event.InvolvedObject.UID).NotTo(BeEmpty())
		found = append(found, fmt.Sprintf("%s/%s %s: %s", event.Namespace, event.InvolvedObject.Name, event.Reason, event.Message))
	}
	return found
}

var _ = Describe("Hook federation_publication", func() {
	It("reports on a Service, once, why it or a port of it is not published", func() {
		r := newRun(federationPublication(), federationSettings).given(
			aPublishedService("shop", "good", "", "ports: [{name: http, port: 80}]"),
			aPublishedService("shop", "hidden", `annotations: {networking.istio.io/exportTo: "."}`, "ports: [{name: http, port: 80}]"),
			aPublishedService("shop", "agent", "", "internalTrafficPolicy: Local, ports: [{name: http, port: 80}]"),
			aPublishedService("shop", "dns", "", "ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]"),
			aPublishedService("shop", "long", "", "ports: [{name: http, port: 80}, {name: "+strings.Repeat("a", 63)+", port: 81}]"),
			strings.Replace(aPublishedService("shop", "withheld", "", "ports: []"), `public-service: ""`, `public-service: "false"`, 1),
		)
		Expect(r.succeeds().serviceEvents()).To(ConsistOf(
			And(HavePrefix("shop/hidden NotPublishedNotExported: "), ContainSubstring("namespace d8-istio")),
			And(HavePrefix("shop/agent NotPublishedNodeLocal: "), ContainSubstring("internalTrafficPolicy is Local")),
			And(HavePrefix("shop/dns NotPublishedUnsupportedProtocol: port 53 "), ContainSubstring("UDP")),
			And(HavePrefix("shop/long NotPublishedPortNameTooLong: port 81 "), ContainSubstring("62 characters")),
		))
		Expect(r.succeeds().serviceEvents()).To(HaveLen(4), "it was said")
	})

	It("limits the Events of one namespace", func() {
		var objects []string
		for index := range 50 {
			objects = append(objects, aPublishedService("evil", fmt.Sprint("s-", index), "", "ports: [{port: 80}]"))
		}
		objects = append(objects, aPublishedService("shop", "nameless", "", "ports: [{port: 80}]"))
		events := newRun(federationPublication(), federationSettings).given(objects...).succeeds().serviceEvents()
		Expect(events).To(HaveLen(maxPublicationEvents + 1))
		Expect(events).To(ContainElement(ContainSubstring("30 more Services or reasons in namespace evil are not named")))
		Expect(events).To(ContainElement(HavePrefix("shop/nameless NotPublishedUnnamedPort")))
	})

	It("reports nothing while federation is off", func() {
		r := newRun(federationPublication(), federationSettings).given(aPublishedService("shop", "nameless", "", "ports: [{port: 80}]"))
		r.ValuesSet("istio.federation.enabled", false)
		Expect(r.succeeds().serviceEvents()).To(BeEmpty())
	})
})
