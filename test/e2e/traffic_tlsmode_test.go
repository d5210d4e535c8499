//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

// tlsOutcome is what becomes of each kind of caller.
type tlsOutcome struct {
	// mutual is whether callers of the mesh and the server prove their identities to each other.
	mutual bool
	// open is whether callers without a sidecar are answered, peers whether those of another cluster are.
	open, peers bool
}

// Outcomes of Mutual, MutualPermissive and Off, or of a namespace's STRICT, PERMISSIVE and DISABLE.
var (
	mutualOnly = tlsOutcome{mutual: true, open: false, peers: true}
	permissive = tlsOutcome{mutual: true, open: true, peers: true}
	plainOnly  = tlsOutcome{mutual: false, open: true, peers: false}
)

// TestTrafficIsEncryptedAsTheTLSModeSays for servers in namespaces that follow the module's setting and in those that override it.
func TestTrafficIsEncryptedAsTheTLSModeSays(t *testing.T) {
	f := trafficOf(t)
	overrides := map[string]tlsOutcome{"STRICT": mutualOnly, "PERMISSIVE": permissive, "DISABLE": plainOnly}
	servers := map[string]*tlsServer{"": {f.Here.Shop, f.Here.Pod("guarded").Name, f.Here.Host("guarded")}}
	var begun []*corev1.Pod
	for mode := range overrides {
		namespace := f.Here.labelled(t, inMesh)
		servers[mode] = &tlsServer{namespace, "server", f.Here.hostname(t, namespace, "server")}
		pod := newPod(namespace, "server", nil, nil)
		f.Here.begin(t, pod)
		begun = append(begun, pod)
		f.Here.servePublished(t, namespace, "server")
		f.applyYAML(t, f.Here, fmt.Sprintf(`apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: %s}
spec: {mtls: {mode: %s}}`, namespace, mode))
	}
	for _, pod := range begun {
		f.Here.awaitReadyPod(t, pod)
	}
	t.Cleanup(func() { // after the settings are again what they were
		server := servers[""]
		proven := between(f.Here.identity("default"), f.Here.spiffe(t, server.namespace, "default"), server.pod)
		eventually(t, scheduled, "proxies prove their identities to each other again", func() string {
			got, err := f.Here.Pod("client").get("http://" + server.host + "/")
			if err != nil {
				return err.Error()
			}
			return proven(got)
		})
	})
	for _, setting := range []struct {
		mode    string
		outcome tlsOutcome
	}{{"Mutual", mutualOnly}, {"Off", plainOnly}, {"MutualPermissive", permissive}} {
		f.Here.reconfigure(t, map[string]any{"tlsMode": setting.mode})
		for override, server := range servers {
			outcome, overridden := overrides[override]
			if !overridden {
				outcome = setting.outcome
			}
			eventually(t, scheduled, fmt.Sprintf("tlsMode %s, namespace %q: %+v", setting.mode, override, outcome), func() string {
				return f.meets(t, server, outcome)
			})
		}
	}
}

// tlsServer is a Pod, and the Service before it.
type tlsServer struct{ namespace, pod, host string }

// meets says which kind of caller is treated otherwise by the server.
func (f *traffic) meets(t *testing.T, server *tlsServer, outcome tlsOutcome) (missing string) {
	t.Helper()
	identity, caller := f.Here.spiffe(t, server.namespace, "default"), f.Here.identity("default")
	proven := between(caller, identity, server.pod)
	if !outcome.mutual {
		proven = between("", "", server.pod)
	}
	got, err := f.Here.Pod("client").get("http://" + server.host + "/")
	if err != nil {
		return "a client of the mesh: " + err.Error()
	}
	if missing := proven(got); missing != "" {
		return "a client of the mesh: " + missing
	}
	got, err = f.Here.Pod("stranger").get("http://" + server.host + "/")
	if answered := err == nil && got.status == 200; answered != outcome.open {
		return fmt.Sprintf("a client without a sidecar: %s (%v)", got, err)
	}
	peer := f.There.identity("default")
	met := callHost(server.host, forge(t, f.There.caInUse(t), peer)).through(f.Here.gatewayAddress(t))
	if answered := met.accepted(peer, identity, server.pod) == ""; answered != outcome.peers {
		return fmt.Sprintf("a peer's client: %s (%v)", met.answer, met.err)
	}
	return ""
}

// servePublished makes a published Service for the Pods with label app=name.
func (s *side) servePublished(t *testing.T, namespace, name string) {
	t.Helper()
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{v1alpha1.PublicServiceLabel: ""}},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": name},
			Ports:    []corev1.ServicePort{{Name: "http-web", Port: 80, TargetPort: intstr.FromInt32(applicationPort)}},
		},
	}
	if _, err := s.typed.CoreV1().Services(namespace).Create(context.Background(), service, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestTrafficOfPodsGoesThroughASidecarWhereLabelsSaySo: a Pod with a sidecar proves its identity, one without cannot.
func TestTrafficOfPodsGoesThroughASidecarWhereLabelsSaySo(t *testing.T) {
	f := trafficOf(t)
	revision := map[string]string{"istio.io/rev": defaultIstio().Revision()}
	inject := func(value string) map[string]string { return map[string]string{"sidecar.istio.io/inject": value} }
	rows := []struct {
		name                       string
		namespace, pod, annotation map[string]string
		injected                   bool
	}{
		{"a namespace of the mesh", inMesh, nil, nil, true},
		{"a namespace of a revision", revision, nil, nil, true},
		{"a Pod of a revision", nil, revision, nil, true},
		{"a Pod with the label", nil, inject("true"), nil, true},
		{"a Pod with the label, and the annotation against it", nil, inject("true"), inject("false"), true},
		{"a Pod that opts out by label", inMesh, inject("false"), nil, false},
		{"a Pod that opts out by annotation", inMesh, nil, inject("false"), false},
		{"a Pod that opts out by annotation of a revision", revision, nil, inject("false"), false},
		{"a Pod with the annotation alone", nil, nil, inject("true"), false},
		{"a Pod of no namespace of the mesh", nil, nil, nil, false},
	}
	pods := make([]*corev1.Pod, len(rows))
	for i, row := range rows {
		pods[i] = newPod(f.Here.labelled(t, row.namespace), "caller", row.pod, row.annotation)
		f.Here.begin(t, pods[i])
	}
	for i, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			caller, server, want := f.Here.enterPod(t, f.Here.awaitReadyPod(t, pods[i])), f.Here.identity("default"), ""
			if row.injected {
				want = f.Here.spiffe(t, caller.Namespace, "default")
			} else {
				server = ""
			}
			eventually(t, scheduled, "", func() string {
				got, err := caller.get("http://" + f.Here.Host("guarded") + "/")
				if err != nil {
					return err.Error()
				}
				return between(want, server, "guarded")(got)
			})
		})
	}
}
