package caller

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/deckhouse-mesh/istio/lib/echo"
	"github.com/deckhouse-mesh/istio/lib/healthcheck"
)

// upstreamTime is the header that Envoy adds to what it forwards, and not to what it says itself.
const upstreamTime = "X-Envoy-Upstream-Service-Time"

const gatewayHint = "Check the firewalls between the clusters, that Pods of DaemonSet d8-istio/ingressgateway run in the peer, and that the addresses " +
	"in .status.metadataCache.private.ingressGateways lead to them."

// judge says what an answer means. body is fit to be shown, in part.
func judge(target healthcheck.Target, status int, header http.Header, body string) healthcheck.Result {
	if header.Get(upstreamTime) == "" && status != http.StatusOK {
		return judgeOwnProxy(target, status, body)
	}
	if status != http.StatusOK {
		return healthcheck.Result{Reason: healthcheck.ReasonHTTPStatus, Message: fmt.Sprintf(
			"the peer answered with status %d: %s. %s", status, shown(body), statusHint(status))}
	}
	// Deckhouse's own healthcheck does not say which cluster it is in; its certificate does.
	if answered := header.Get(healthcheck.ClusterHeader); answered != "" && answered != target.ClusterUUID {
		return healthcheck.Result{Reason: healthcheck.ReasonAnsweredByAnother, Message: fmt.Sprintf(
			"the cluster with the UUID %s answered, instead of %s: the gateway's addresses lead to another cluster. Look at alliance.ingressGateway.advertise there, and at what forwards to it.",
			echo.Text(answered, maxDetail), target.ClusterUUID)}
	}
	return healthcheck.Result{Reason: healthcheck.ReasonAnswers}
}

func statusHint(status int) string {
	if status == http.StatusForbidden {
		return "An AuthorizationPolicy there denies the call of this cluster's alliance-healthcheck; requests of applications may pass."
	}
	return "Look at the Pods of Deployment d8-istio/alliance-healthcheck in the peer, and their container istio-proxy."
}

// judgeOwnProxy judges what this Pod's own Envoy says of a request that it could not forward. Envoy explains it in text only.
func judgeOwnProxy(target healthcheck.Target, status int, body string) healthcheck.Result {
	switch {
	// Envoy knows no such host: Istio's route for all others blocks them (502), and without one there is none (404).
	case status == http.StatusNotFound, status == http.StatusBadGateway:
		return nameUnknown(target.Host)
	case mentions(body, "TLS_error", "CERTIFICATE_VERIFY_FAILED"):
		return tlsRejected(body)
	// A host without endpoints, or a cluster that Envoy does not have yet.
	case mentions(body, "no healthy upstream"):
		return healthcheck.Result{Reason: healthcheck.ReasonGatewayUnreachable, Message: "the mesh here has no address for the peer's Service. " +
			"Look at .status.metadataCache.private.ingressGateways, and in a mesh of several clusters at the log of istiod."}
	case mentions(body, "connection timeout", "remote connection failure", "local connection failure", "delayed connect error", "connection failure"):
		return healthcheck.Result{Reason: healthcheck.ReasonGatewayUnreachable, Message: "the peer's gateways cannot be reached: " + shown(body) + ". " + gatewayHint}
	case mentions(body, "connection termination", "reset before headers", "protocol error"):
		return healthcheck.Result{Reason: healthcheck.ReasonConnectionClosed, Message: "the connection was closed without an answer: " + shown(body) +
			". The gateway there does not know the Service, no Pod of it is ready, or the proxy there rejects this cluster's certificate, which TLS 1.3 does not tell: " +
			"in the peer, look at the resource for this cluster, and at Deployment d8-istio/alliance-healthcheck and the log of its proxy."}
	default:
		return healthcheck.Result{Reason: healthcheck.ReasonHTTPStatus, Message: fmt.Sprintf(
			"the sidecar here answered with status %d: %s. Look at container istio-proxy of the Pods of Deployment d8-istio/alliance-healthcheck.", status, shown(body))}
	}
}

func nameUnknown(host string) healthcheck.Result {
	return healthcheck.Result{Reason: healthcheck.ReasonNameUnknown, Message: fmt.Sprintf(
		"the mesh here does not know %s. Under federation look for its ServiceEntry in namespace d8-istio; in one mesh, at the log of istiod and at the Secret istio-remote-secret of this peer.", host)}
}

// tlsRejected says whose certificate was rejected: an alert comes from the other side, and is about this cluster's.
func tlsRejected(body string) healthcheck.Result {
	if mentions(body, "ALERT") {
		return healthcheck.Result{Reason: healthcheck.ReasonTLSRejected, Message: "the peer rejects the certificate of this cluster: " + shown(body) +
			". Does the peer have a resource for this cluster, with its present root? Look at the conditions there, and at docs/CA.md after a rotation."}
	}
	return healthcheck.Result{Reason: healthcheck.ReasonTLSRejected, Message: "this cluster rejects the certificate that answers for the peer: " + shown(body) +
		". Is it another cluster's, or expired, or below a root that the condition PublicMetadataFetched calls untrusted?"}
}

func mentions(text string, any ...string) bool {
	return slices.ContainsFunc(any, func(part string) bool { return strings.Contains(text, part) })
}

// shown is the part of a body that messages show.
func shown(body string) string {
	if body == "" {
		return "(no text)"
	}
	return echo.Text(body, maxDetail)
}
