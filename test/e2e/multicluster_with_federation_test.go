//go:build e2e

package e2e

import "testing"

func multiclusterAndFederationAreThereTogether(t *testing.T) {
	l := meshed(t, mixedMode)
	a, b, stranger := l.clusters[0], l.clusters[1], l.clusters[2]
	namespace := everywhere(t, a, b, stranger)
	own := a.application(t, namespace, "api")
	b.application(t, namespace, "api")
	host, client := a.hostname(t, namespace, "api"), a.client(t, namespace)
	await(t, client, "the clusters of the mesh share a Service", sendsTo(host, own, a.gatewayOf(t, b)))

	published := stranger.publish(t, namespace, "shop")
	a.awaitImported(t, published, prompt)
	await(t, client, "the federated Service is entered by the stranger's gateway", sendsTo(published, a.toldGateway(t, federations, stranger)))
	await(t, client, "the mesh stays as it was", sendsTo(host, own, a.gatewayOf(t, b)))
}
