//go:build e2e

package e2e

import "testing"

func multiclusterWorksBesideFederation(t *testing.T) {
	l := meshOf(t)
	a, b, stranger := l.a, l.b, l.stranger
	namespace := everywhere(t, a, b, stranger)
	own := a.application(t, namespace, "api")
	b.application(t, namespace, "api")
	stranger.awaitMesh(t, defaultIstio())
	server := stranger.podWithSidecar(t, namespace, "shop", "shop")
	published := stranger.serve(t, namespace, "shop")
	host, pod := a.hostname(t, namespace, "api"), a.podWithSidecar(t, namespace, "client", "client")
	client := a.sidecar(t, pod, defaultIstio())
	awaitView(t, client, "the clusters of the mesh share a Service", sendsTo(host, own, a.gatewayOf(t, b)))

	stranger.label(t, namespace, "shop", true)
	a.awaitImported(t, published, prompt)
	awaitView(t, client, "the federated Service is entered by the stranger's gateway", sendsTo(published, a.publishedGateway(t, federations, stranger)))
	a.awaitAnswer(t, "the stranger answers", pod, webURL(published),
		between(a.spiffe(t, namespace, "default"), stranger.spiffe(t, namespace, "default"), server.Name))
	awaitView(t, client, "the mesh stays as it was", sendsTo(host, own, a.gatewayOf(t, b)))
}
