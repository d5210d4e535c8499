//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

func TestAServiceThatCannotBePublishedSaysSoInAnEvent(t *testing.T) {
	awaitPeers(t)
	namespace := suite.b.namespace(t)
	http := []corev1.ServicePort{{Name: "http", Port: 80}}
	local := corev1.ServiceInternalTrafficPolicyLocal
	publish := func(name, label string, annotations map[string]string, spec corev1.ServiceSpec) string {
		t.Helper()
		_, err := suite.b.typed.CoreV1().Services(namespace).Create(context.Background(), &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{v1alpha1.PublicServiceLabel: label}, Annotations: annotations},
			Spec:       spec,
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return suite.b.hostname(t, namespace, name)
	}
	rejected := map[string]string{ // hostnames by the reason of their Event
		"NotPublishedNotExported": publish("hidden", "", map[string]string{"networking.istio.io/exportTo": "."}, corev1.ServiceSpec{Ports: http}),
		"NotPublishedNodeLocal":   publish("agent", "", nil, corev1.ServiceSpec{Ports: http, InternalTrafficPolicy: &local}),
	}
	withheld := publish("withheld", "false", nil, corev1.ServiceSpec{Ports: http})
	forGateway := publish("for-gateway", "", map[string]string{"networking.istio.io/exportTo": "., d8-istio"}, corev1.ServiceSpec{Ports: http})
	longName := publish("long-name", "true", nil, corev1.ServiceSpec{Ports: append([]corev1.ServicePort{{Name: strings.Repeat("a", 63), Port: 81}}, http...)})

	suite.a.awaitImported(t, forGateway, prompt)
	suite.a.awaitImported(t, longName, prompt)
	eventually(t, scheduled, "each rejection is an Event on its Service", func() string {
		events, err := suite.b.typed.CoreV1().Events(namespace).List(context.Background(), metav1.ListOptions{FieldSelector: "involvedObject.kind=Service"})
		if err != nil {
			return err.Error()
		}
		found := map[string]bool{}
		for _, event := range events.Items {
			found[event.Reason] = event.Message != "" && event.InvolvedObject.UID != ""
		}
		for _, reason := range []string{"NotPublishedNotExported", "NotPublishedNodeLocal", "NotPublishedPortNameTooLong"} {
			if !found[reason] {
				return "there is no Event " + reason
			}
		}
		return ""
	})
	rejected["the label"] = withheld
	for why, hostname := range rejected {
		if entry := suite.a.imported(t, hostname); entry != nil {
			t.Errorf("%s is imported in spite of %s", hostname, why)
		}
	}
}
