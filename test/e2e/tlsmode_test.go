//go:build e2e

package e2e

import (
	"testing"

	"github.com/deckhouse-mesh/istio/test/mesh"
)

func TestTheGlobalTLSModeHoldsWhereANamespaceHasNotItsOwn(t *testing.T) {
	suite.a.awaitMesh(t, defaultIstio())
	plain := suite.a.labelled(t, inMesh)
	own := map[mesh.Mode]string{mesh.Strict: suite.a.labelled(t, inMesh), mesh.Disable: suite.a.labelled(t, inMesh)}
	host := suite.a.serve(t, plain, "api")
	pod := suite.a.run(t, newPod(plain, "api", nil, nil))
	sidecar := suite.a.sidecar(t, pod, defaultIstio())
	overridden := map[mesh.Mode]*mesh.Client{}
	for mode, namespace := range own {
		suite.a.serve(t, namespace, "api")
		overridden[mode] = suite.a.sidecar(t, suite.a.run(t, newPod(namespace, "api", nil, nil)), defaultIstio())
		suite.a.apply(t, peerAuthentications, "PeerAuthentication", namespace, "default", map[string]any{
			"mtls": map[string]any{"mode": string(mode)},
		})
	}

	for _, test := range []struct {
		setting string
		inbound mesh.Mode
		mutual  bool
	}{
		{"Mutual", mesh.Strict, true},
		{"Off", mesh.Disable, false},
		{"MutualPermissive", mesh.Permissive, true},
	} {
		suite.a.reconfigure(t, map[string]any{"tlsMode": test.setting})
		await(t, sidecar, test.setting+" makes sidecars accept "+string(test.inbound), func(view *mesh.View) string {
			return want(view.InboundMode(applicationPort))(test.inbound)
		})
		await(t, sidecar, test.setting+" makes sidecars speak to each other accordingly", func(view *mesh.View) string {
			handshake, err := view.Handshake(mesh.Outbound(80, "", host), endpointOf(pod))
			return want(handshake.TLS, err)(test.mutual)
		})
		for mode, sidecar := range overridden {
			await(t, sidecar, "a namespace that says "+string(mode)+" stays so with "+test.setting, func(view *mesh.View) string {
				return want(view.InboundMode(applicationPort))(mode)
			})
		}
	}
}
