package healthcheck

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Reasons of a Result, which become those of the condition.
const (
	// ReasonAnswers: the peer answered.
	ReasonAnswers = "Answers"
	// ReasonNameUnknown: the mesh here does not know the peer's Service.
	ReasonNameUnknown = "NameUnknown"
	// ReasonGatewayUnreachable: no connection to the peer's gateway, or none of its Pods where Pods reach each other directly.
	ReasonGatewayUnreachable = "GatewayUnreachable"
	// ReasonConnectionClosed: the connection was opened, and closed without an answer.
	ReasonConnectionClosed = "ConnectionClosed"
	// ReasonTLSRejected: one side rejects the certificate of the other; the message says which.
	ReasonTLSRejected = "TLSRejected"
	// ReasonAnsweredByAnother: a cluster of another UUID answered.
	ReasonAnsweredByAnother = "AnsweredByAnother"
	// ReasonHTTPStatus: the answer has a status other than 200.
	ReasonHTTPStatus = "HTTPStatus"
	// ReasonProxyNotReady: the sidecar of alliance-healthcheck does not answer, so nothing is known of the peer.
	ReasonProxyNotReady = "ProxyNotReady"
)

// failures has the reasons that say something about the way to the peer.
var failures = map[string]bool{
	ReasonNameUnknown: true, ReasonGatewayUnreachable: true, ReasonConnectionClosed: true, ReasonTLSRejected: true,
	ReasonAnsweredByAnother: true, ReasonHTTPStatus: true,
}

// Result is what came of calling a target.
type Result struct {
	// ClusterUUID that was called.
	ClusterUUID string `json:"clusterUUID"`
	Reason      string `json:"reason"`
	// Message says what happened and what to do; empty for an answer.
	Message string `json:"message,omitempty"`
}

// Answers is true when the peer answered.
func (r Result) Answers() bool { return r.Reason == ReasonAnswers }

// Failed is true when the peer cannot be reached through the mesh; false, too, when nothing is known.
func (r Result) Failed() bool { return failures[r.Reason] }

// Report is what one Pod of alliance-healthcheck has found.
type Report struct {
	// Time is when the Pod last wrote that these results hold.
	Time time.Time `json:"time"`
	// Results by Target.Key.
	Results map[string]Result `json:"results"`
}

const (
	// Heartbeat is how often a Pod writes a report that has not changed.
	Heartbeat = time.Minute
	// StaleAfter is the age at which a report counts no more: its Pod is gone, or writes no longer.
	StaleAfter = 3 * time.Minute
	// maxReportBytes of one Pod: thousands of peers, and a fraction of what a ConfigMap holds.
	maxReportBytes = 256 << 10
)

// Encode makes the value of a Pod's key in the ConfigMap.
func (r Report) Encode() (string, error) {
	encoded, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("encode the report: %w", err)
	}
	if len(encoded) <= maxReportBytes {
		return string(encoded), nil
	}
	short := Report{Time: r.Time, Results: maps.Clone(r.Results)}
	for key, result := range short.Results {
		result.Message = ""
		short.Results[key] = result
	}
	if encoded, err = json.Marshal(short); err != nil {
		return "", fmt.Errorf("encode the report: %w", err)
	}
	return string(encoded), nil
}

// Decode reads the values of all Pods' keys. One that is no report counts for nothing: others can write the ConfigMap, too.
func Decode(values map[string]string) []Report {
	var reports []Report
	for _, pod := range slices.Sorted(maps.Keys(values)) {
		var report Report
		if json.Unmarshal([]byte(values[pod]), &report) == nil && !report.Time.IsZero() {
			reports = append(reports, report)
		}
	}
	return reports
}

// Stale is true when the report counts no more. One from the future is stale, too: it would count for ever.
func (r Report) Stale(now time.Time) bool {
	age := now.Sub(r.Time)
	return age > StaleAfter || age < -StaleAfter
}

// Of returns what the reports say of a target, and false when none that counts says anything. Where
// Pods have found different things, a failure is what holds: requests fail there.
func Of(reports []Report, key, clusterUUID string, now time.Time) (Result, bool) {
	var found Result
	known := false
	for _, report := range reports {
		result, ok := report.Results[key]
		if !ok || report.Stale(now) || result.ClusterUUID != clusterUUID {
			continue
		}
		if !known || rank(result) > rank(found) {
			found, known = result, true
		}
	}
	return found, known
}

// rank orders results: a failure goes before an answer, and an answer before no finding.
func rank(result Result) int {
	switch {
	case result.Failed():
		return 2
	case result.Answers():
		return 1
	default:
		return 0
	}
}
