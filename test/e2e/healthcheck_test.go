//go:build e2e

package e2e

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/healthcheck"
)

const dataplaneCondition = v1alpha1.ConditionDataplane

// awaitDataplane waits until the condition of the way to the peer has the status and the reason, and a message with text.
func (c *cluster) awaitDataplane(t *testing.T, of schema.GroupVersionResource, name, status, reason, text string, timeout time.Duration) {
	t.Helper()
	eventually(t, timeout, fmt.Sprintf("%s says %s %s of the way to %s", c.name, status, reason, name), func() string {
		foundStatus, foundReason, message := c.conditionOf(of, name, dataplaneCondition)
		if foundStatus != status || foundReason != reason || !strings.Contains(message, text) {
			return fmt.Sprintf("%s=%s %s: %s", dataplaneCondition, foundStatus, foundReason, message)
		}
		return ""
	})
}

func TestBothClustersAnswerCallsThroughTheMesh(t *testing.T) {
	awaitPeers(t)
	suite.a.awaitDataplane(t, federations, suite.b.name, "True", healthcheck.ReasonAnswers, "", restarted)
	suite.b.awaitDataplane(t, federations, suite.a.name, "True", healthcheck.ReasonAnswers, "", restarted)
}

func multiclusterEveryPeerAnswersCallsThroughTheMesh(t *testing.T) {
	t.Helper()
	for _, pair := range [][2]*cluster{{suite.a, suite.b}, {suite.b, suite.a}} {
		pair[0].awaitDataplane(t, multiclusters, pair[1].name, "True", healthcheck.ReasonAnswers, "", restarted)
	}
}

// refresh has the peer polled at once.
func (c *cluster) refresh(t *testing.T, name string) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.RefreshAnnotation, uuid.NewString())
	if _, err := c.dynamic.Resource(federations).Patch(context.Background(), name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// publishingHealthcheck is the peer's private document with its only Service as that of its alliance-healthcheck.
func (p *fakePeer) publishingHealthcheck(clusterUUID string) http.HandlerFunc {
	return altered(p.private, func(document map[string]any) {
		document["publicServices"].([]any)[0].(map[string]any)["hostname"] = healthcheck.Hostname(clusterUUID, p.trustDomain)
	})
}

// answerAs the alliance-healthcheck of a cluster from now on.
func (e *entrance) answerAs(status int, cluster string) {
	e.behave(func(e *entrance) {
		e.answer = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(healthcheck.ClusterHeader, cluster)
			w.WriteHeader(status)
		}
	})
}

// TestTheWayToAPeerThatIsNotKnownIsNotChecked: who nobody has seen is neither reachable nor unreachable.
func TestTheWayToAPeerThatIsNotKnownIsNotChecked(t *testing.T) {
	suite.a.federate(t, newFederation("unseen", map[string]any{
		"trustDomain": "unseen.example", "metadataEndpoint": "https://unseen.host.lab/metadata/",
	}))
	suite.a.awaitDataplane(t, federations, "unseen", "Unknown", "NotChecked", "once its identity is known", restarted)
}

// TestTheConditionNamesThePartOfTheWayThatFails breaks one part of the way to a peer after the other. The peer is a server in
// the fabric that is its gateway and its Service at once; this cluster's proxy is a real one.
func TestTheConditionNamesThePartOfTheWayThatFails(t *testing.T) {
	t.Parallel() // it waits for rounds of calls, and has a peer of its own
	awaitPeers(t)
	peer, clusterUUID := newFakePeer(t, "watched.example"), uuid.NewString()
	peer.public = altered(peer.public, func(document map[string]any) { document["clusterUUID"] = clusterUUID })
	opened := peer.serveMesh(t)
	unpublished := peer.private
	published := peer.publishingHealthcheck(clusterUUID)
	peer.private = published
	opened.answerAs(http.StatusOK, clusterUUID)
	suite.a.federate(t, peer.federation("watched"))
	await := func(status, reason, text string) {
		t.Helper()
		suite.a.awaitDataplane(t, federations, "watched", status, reason, text, restarted)
	}
	await("True", healthcheck.ReasonAnswers, "")

	opened.answerAs(http.StatusOK, uuid.NewString())
	await("False", healthcheck.ReasonAnsweredByAnother, clusterUUID)
	opened.answerAs(http.StatusTeapot, clusterUUID)
	await("False", healthcheck.ReasonHTTPStatus, "418")
	opened.answerAs(http.StatusOK, clusterUUID)
	await("True", healthcheck.ReasonAnswers, "")

	opened.show(forge(t, peer.authority, "spiffe://watched.example/ns/shop/sa/other"))
	await("False", healthcheck.ReasonTLSRejected, "this cluster rejects the certificate")
	opened.show(forge(t, peer.authority, peer.identity()))
	opened.behave(func(e *entrance) {
		e.verify = func([][]byte, [][]*x509.Certificate) error { return errors.New("unknown caller") }
	})
	// With TLS 1.3 a server rejects a certificate after the client's handshake is complete.
	await("False", healthcheck.ReasonConnectionClosed, "the proxy there rejects this cluster's certificate")
	opened.behave(func(e *entrance) { e.verify = nil })
	await("True", healthcheck.ReasonAnswers, "")

	peer.private = altered(published, func(document map[string]any) {
		document["ingressGateways"].([]any)[0].(map[string]any)["port"] = 1
	})
	suite.a.refresh(t, "watched")
	await("False", healthcheck.ReasonGatewayUnreachable, "")
	peer.private = unpublished
	suite.a.refresh(t, "watched")
	await("Unknown", "NotPublished", clusterUUID)
	peer.private = published
	suite.a.refresh(t, "watched")
	await("True", healthcheck.ReasonAnswers, "")
	if status, reason, message := suite.a.condition(suite.b.name, dataplaneCondition); status != "True" {
		t.Errorf("the way to another peer is %s %s meanwhile: %s", status, reason, message)
	}
}
