package checker

import (
	"testing"

	"github.com/deckhouse-mesh/istio/lib/healthcheck"
)

func TestWhatIsReportedAfterSeveralCalls(t *testing.T) {
	const (
		answers = healthcheck.ReasonAnswers
		closed  = healthcheck.ReasonConnectionClosed
		tls     = healthcheck.ReasonTLSRejected
	)
	for name, test := range map[string]struct {
		calls []string
		want  string
	}{
		"nothing after a first failure":                  {[]string{closed}, ""},
		"a failure after two":                            {[]string{closed, closed}, closed},
		"the last of two different failures":             {[]string{answers, closed, tls}, tls},
		"an answer at once":                              {[]string{answers}, answers},
		"an answer after failures at once":               {[]string{closed, closed, answers}, answers},
		"still an answer after one failure":              {[]string{answers, closed}, answers},
		"still an answer after failures between answers": {[]string{answers, closed, answers, closed}, answers},
		"still the failure after another one":            {[]string{closed, closed, tls}, closed},
		"another failure after two of it":                {[]string{closed, closed, tls, tls}, tls},
		"still the failure while others alternate":       {[]string{closed, closed, tls, closed, tls, closed}, closed},
	} {
		t.Run(name, func(t *testing.T) {
			var state damped
			for _, reason := range test.calls {
				before := state.reported
				if changed := state.note(healthcheck.Result{Reason: reason}); changed != (before != state.reported) {
					t.Errorf("after %s: changed is %t, the report %+v", reason, changed, state.reported)
				}
			}
			if state.reported.Reason != test.want {
				t.Errorf("reported %q, want %q", state.reported.Reason, test.want)
			}
		})
	}
}
