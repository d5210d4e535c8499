//go:build e2e

package e2e

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// Modes of a PeerAuthentication; "" is none.
const (
	strict  = "STRICT"
	disable = "DISABLE"
)

func TestTheGlobalTLSModeAppliesToNamespacesWithoutTheirOwn(t *testing.T) {
	suite.a.awaitMesh(t, defaultIstio())
	plain, outside := suite.a.labelled(t, inMesh), suite.a.namespace(t)
	namespaces := map[string]string{"": plain, strict: suite.a.labelled(t, inMesh), disable: suite.a.labelled(t, inMesh)}
	servers, hosts := map[string]*corev1.Pod{}, map[string]string{}
	client, stranger := suite.a.run(t, newPod(plain, "client", nil, nil)), suite.a.run(t, newPod(outside, "stranger", nil, nil))
	for mode, namespace := range namespaces {
		servers[mode], hosts[mode] = suite.a.run(t, newPod(namespace, "api", nil, nil)), suite.a.serve(t, namespace, "api")
		if mode != "" {
			suite.a.apply(t, peerAuthentications, "PeerAuthentication", namespace, "default", map[string]any{
				"mtls": map[string]any{"mode": mode},
			})
		}
	}
	client, stranger = suite.a.awaitReadyPod(t, client), suite.a.awaitReadyPod(t, stranger)
	for _, server := range servers {
		suite.a.awaitReadyPod(t, server)
	}
	own := suite.a.spiffe(t, plain, "default")

	// holds when the server speaks mutual TLS to clients of the mesh, or plaintext, and others are answered, or not.
	holds := func(mode string, mutual, open bool) string {
		caller, server := "", ""
		if mutual {
			caller, server = own, suite.a.spiffe(t, namespaces[mode], "default")
		}
		if missing := suite.a.answers(client, webURL(hosts[mode]), between(caller, server, servers[mode].Name)); missing != "" {
			return "a client of the mesh: " + missing
		}
		if open {
			return suite.a.answers(stranger, webURL(hosts[mode]), between("", "", servers[mode].Name))
		}
		return suite.a.isRejected(stranger, webURL(hosts[mode]))
	}
	for _, test := range []struct {
		setting      string
		mutual, open bool
	}{
		{"Mutual", true, false},
		{"Off", false, true},
		{"MutualPermissive", true, true},
	} {
		suite.a.reconfigure(t, map[string]any{"tlsMode": test.setting})
		eventually(t, prompt, test.setting+" holds where nothing else is said", func() string { return holds("", test.mutual, test.open) })
		eventually(t, prompt, "a namespace that says STRICT stays so with "+test.setting, func() string { return holds(strict, true, false) })
		eventually(t, prompt, "a namespace that says DISABLE stays so with "+test.setting, func() string { return holds(disable, false, true) })
	}
}
