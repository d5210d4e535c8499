package healthcheck_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/healthcheck"
)

var now = time.Date(2030, 11, 22, 12, 0, 0, 0, time.UTC)

func reportAt(age time.Duration, reason string) healthcheck.Report {
	return healthcheck.Report{Time: now.Add(-age), Results: map[string]healthcheck.Result{
		"IstioFederation/b": {ClusterUUID: "uuid-b", Reason: reason},
	}}
}

func TestWhatTheReportsSayOfATarget(t *testing.T) {
	answers, fails, noProxy := reportAt(0, healthcheck.ReasonAnswers), reportAt(0, healthcheck.ReasonTLSRejected), reportAt(0, healthcheck.ReasonProxyNotReady)
	for name, test := range map[string]struct {
		reports []healthcheck.Report
		want    string
	}{
		"nothing without a report":                       {nil, ""},
		"what the only Pod has found":                    {[]healthcheck.Report{answers}, healthcheck.ReasonAnswers},
		"a failure that one of two Pods has found":       {[]healthcheck.Report{answers, fails}, healthcheck.ReasonTLSRejected},
		"in any order":                                   {[]healthcheck.Report{fails, answers}, healthcheck.ReasonTLSRejected},
		"an answer where another Pod has no proxy":       {[]healthcheck.Report{noProxy, answers}, healthcheck.ReasonAnswers},
		"that the proxy is not ready, where that is all": {[]healthcheck.Report{noProxy}, healthcheck.ReasonProxyNotReady},
		"nothing in a stale report":                      {[]healthcheck.Report{reportAt(healthcheck.StaleAfter+time.Second, healthcheck.ReasonAnswers)}, ""},
		"nothing in a report from the future":            {[]healthcheck.Report{reportAt(-time.Hour, healthcheck.ReasonAnswers)}, ""},
		"a fresh answer beside a stale failure":          {[]healthcheck.Report{answers, reportAt(time.Hour, healthcheck.ReasonTLSRejected)}, healthcheck.ReasonAnswers},
	} {
		t.Run(name, func(t *testing.T) {
			got, known := healthcheck.Of(test.reports, "IstioFederation/b", "uuid-b", now)
			if got.Reason != test.want || known != (test.want != "") {
				t.Errorf("got %+v, %t", got, known)
			}
		})
	}
	if got, known := healthcheck.Of([]healthcheck.Report{answers}, "IstioFederation/b", "uuid-c", now); known {
		t.Errorf("what was found of another cluster counts: %+v", got)
	}
	if got, known := healthcheck.Of([]healthcheck.Report{answers}, "IstioMulticluster/b", "uuid-b", now); known {
		t.Errorf("what was found of another resource counts: %+v", got)
	}
}

func TestAReportIsReadAsItWasWritten(t *testing.T) {
	encoded, err := reportAt(0, healthcheck.ReasonAnswers).Encode()
	if err != nil {
		t.Fatal(err)
	}
	reports := healthcheck.Decode(map[string]string{"pod-1": encoded, "broken": "{", "no-time": "{}", "no-report": "1"})
	if len(reports) != 1 || reports[0].Results["IstioFederation/b"].Reason != healthcheck.ReasonAnswers || !reports[0].Time.Equal(now) {
		t.Errorf("read %+v of %s", reports, encoded)
	}
}

func TestALongReportLosesItsMessagesOnly(t *testing.T) {
	report := healthcheck.Report{Time: now, Results: map[string]healthcheck.Result{}}
	for peer := range 1_000 {
		report.Results[fmt.Sprintf("IstioFederation/peer-%d", peer)] = healthcheck.Result{
			ClusterUUID: strconv.Itoa(peer), Reason: healthcheck.ReasonGatewayUnreachable, Message: strings.Repeat("x", 600),
		}
	}
	encoded, err := report.Encode()
	if err != nil || len(encoded) > 256<<10 {
		t.Fatalf("%d bytes, %v", len(encoded), err)
	}
	if got, known := healthcheck.Of(healthcheck.Decode(map[string]string{"pod": encoded}), "IstioFederation/peer-7", "7", now); !known || !got.Failed() {
		t.Errorf("got %+v, %t", got, known)
	}
	if report.Results["IstioFederation/peer-7"].Message == "" {
		t.Error("encoding changed the report")
	}
}

func TestHostnames(t *testing.T) {
	const uuid = "0f2b3c4d-1111-4222-8333-444455556666"
	host := healthcheck.Hostname(uuid, "cluster-b.local")
	if host != "alliance-healthcheck-"+uuid+".d8-istio.svc.cluster-b.local" || !healthcheck.IsHostname(host) {
		t.Errorf("the host is %q", host)
	}
	for _, unusable := range []string{"", "UUID", "a.b", "-a", "a-", "a_b", strings.Repeat("a", 43)} {
		if got := healthcheck.Hostname(unusable, "cluster-b.local"); got != "" {
			t.Errorf("the UUID %q makes the host %q", unusable, got)
		}
	}
	for _, other := range []string{"alliance-healthcheck-a.shop.svc.cluster-b.local", "web.d8-istio.svc.cluster-b.local", "", "alliance-healthcheck-a"} {
		if healthcheck.IsHostname(other) {
			t.Errorf("%q counts as a healthcheck's", other)
		}
	}
}
