package caller_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/images/alliance-healthcheck/internal/answer"
	"github.com/deckhouse-mesh/istio/images/alliance-healthcheck/internal/caller"
	"github.com/deckhouse-mesh/istio/lib/healthcheck"
)

var target = healthcheck.Target{Kind: "IstioFederation", Name: "b", ClusterUUID: "uuid-b", Host: "alliance-healthcheck-uuid-b.d8-istio.svc.cluster-b.local"}

// callProxy calls the target through a proxy that answers as handler does.
func callProxy(t *testing.T, timeout time.Duration, handler http.Handler) healthcheck.Result {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "mesh.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler}}
	proxy.Start()
	defer proxy.Close()
	return caller.New(socket, timeout).Call(t.Context(), target)
}

// TestWhatAnswersMean has the texts of a real Envoy.
func TestWhatAnswersMean(t *testing.T) {
	const ofPeer = true
	for name, test := range map[string]struct {
		status int
		body   string
		ofPeer bool
		reason string
		say    string
	}{
		"the mesh does not know the host":       {502, "", false, healthcheck.ReasonNameUnknown, target.Host},
		"there is no route":                     {404, "", false, healthcheck.ReasonNameUnknown, target.Host},
		"nobody listens at the gateway":         {503, "upstream connect error or disconnect/reset before headers. retried and the latest reset reason: remote connection failure, transport failure reason: delayed connect error: No route to host", false, healthcheck.ReasonGatewayUnreachable, "No route to host"},
		"the gateway's packets are lost":        {503, "upstream connect error or disconnect/reset before headers. reset reason: connection timeout", false, healthcheck.ReasonGatewayUnreachable, "connection timeout"},
		"the mesh has no address":               {503, "no healthy upstream", false, healthcheck.ReasonGatewayUnreachable, "no address"},
		"the gateway closes the connection":     {503, "upstream connect error or disconnect/reset before headers. reset reason: connection termination (-; upstream_reset_before_response_started{connection_termination})", false, healthcheck.ReasonConnectionClosed, "rejects this cluster's certificate"},
		"the peer's certificate is not trusted": {503, "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure (TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:TLS_error_end; upstream_reset_before_response_started{remote_connection_failure})", false, healthcheck.ReasonTLSRejected, "this cluster rejects the certificate"},
		"the peer does not trust this cluster":  {503, "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure, transport failure reason: TLS_error:|268436504:SSL routines:OPENSSL_internal:TLSV1_ALERT_UNKNOWN_CA:TLS_error_end", false, healthcheck.ReasonTLSRejected, "the peer rejects the certificate of this cluster"},
		"the proxy says something else":         {503, "overloaded", false, healthcheck.ReasonHTTPStatus, "status 503: overloaded"},
		"a policy in the peer denies the call":  {403, "RBAC: access denied", ofPeer, healthcheck.ReasonHTTPStatus, "AuthorizationPolicy"},
		"the peer's program does not run":       {503, "upstream connect error", ofPeer, healthcheck.ReasonHTTPStatus, "the peer answered with status 503"},
		"the peer sends the caller elsewhere":   {302, "", ofPeer, healthcheck.ReasonHTTPStatus, "status 302: (no text)"},
		"a peer that does not say who it is":    {200, "ok", ofPeer, healthcheck.ReasonAnswers, ""},
		"text is shown without control codes":   {503, "a\x1b[31mb", false, healthcheck.ReasonHTTPStatus, "a?[31mb"},
		"text is shown in part":                 {503, strings.Repeat("x", 10_000), false, healthcheck.ReasonHTTPStatus, "xxx"},
	} {
		t.Run(name, func(t *testing.T) {
			got := callProxy(t, 10*time.Second, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
				if request.Host != target.Host {
					t.Errorf("the call is for %q", request.Host)
				}
				if test.ofPeer {
					w.Header().Set("X-Envoy-Upstream-Service-Time", "1")
				}
				w.Header().Set("Location", "http://elsewhere.example/")
				w.WriteHeader(test.status)
				_, _ = fmt.Fprint(w, test.body)
			}))
			if got.Reason != test.reason || !strings.Contains(got.Message, test.say) || got.ClusterUUID != target.ClusterUUID {
				t.Errorf("got %+v", got)
			}
			if len(got.Message) > 900 {
				t.Errorf("the message has %d bytes", len(got.Message))
			}
		})
	}
}

func TestTheAnswerSaysWhichClusterItIs(t *testing.T) {
	for uuid, want := range map[string]string{"uuid-b": healthcheck.ReasonAnswers, "uuid-c": healthcheck.ReasonAnsweredByAnother} {
		handler, err := answer.NewHandler(uuid)
		if err != nil {
			t.Fatal(err)
		}
		if got := callProxy(t, 10*time.Second, handler); got.Reason != want {
			t.Errorf("%s answered: %+v", uuid, got)
		}
	}
}

func TestAProxyThatIsNotThereSaysNothingAboutThePeer(t *testing.T) {
	got := caller.New(filepath.Join(t.TempDir(), "nothing.sock"), time.Second).Call(t.Context(), target)
	if got.Reason != healthcheck.ReasonProxyNotReady || got.Failed() {
		t.Errorf("got %+v", got)
	}
}

func TestACallEndsAfterItsTimeout(t *testing.T) {
	got := callProxy(t, 50*time.Millisecond, http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) { <-request.Context().Done() }))
	if got.Reason != healthcheck.ReasonGatewayUnreachable || !strings.Contains(got.Message, "no answer within 50ms") {
		t.Errorf("got %+v", got)
	}
}

func TestEveryPathIsAnsweredAlike(t *testing.T) {
	handler, err := answer.NewHandler("uuid-b")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/healthz", "/a/../b?c=d"} {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, path, strings.NewReader("x")))
		if recorder.Code != http.StatusOK || recorder.Header().Get(healthcheck.ClusterHeader) != "uuid-b" || !strings.Contains(recorder.Body.String(), `"clusterUUID":"uuid-b"`) {
			t.Errorf("%s: %d %v %s", path, recorder.Code, recorder.Header(), recorder.Body)
		}
	}
}
