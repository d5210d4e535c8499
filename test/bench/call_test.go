package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// aRun is what fortio writes, shortened.
const aRun = `{"ActualQPS": 99.9, "RetCodes": {"200": 1998},
"DurationHistogram": {"Count": 1998, "Percentiles": [{"Percentile": 50, "Value": 0.00125}, {"Percentile": 99, "Value": 0.004}]}}`

func TestALoadsReportIsRead(t *testing.T) {
	var run loadRun
	if err := json.Unmarshal([]byte(aRun), &run); err != nil {
		t.Fatal(err)
	}
	if run.percentile(50) != 1250*time.Microsecond || run.percentile(99) != 4*time.Millisecond || run.RetCodes["200"] != 1998 {
		t.Errorf("%+v", run)
	}
}

func TestThePlainEnvoyPassesToTheBackend(t *testing.T) {
	content, err := envoyConfiguration("198.51.100.7:4000", "10.1.2.3:8080")
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(content) {
		t.Errorf("no JSON: %s", content)
	}
	for _, want := range []string{`"address":"198.51.100.7","port_value":4000`, `"address":"10.1.2.3","port_value":8080`} {
		if !strings.Contains(string(content), want) {
			t.Errorf("%s lacks %s", content, want)
		}
	}
	if _, err := envoyConfiguration("nowhere", "10.1.2.3:8080"); err == nil {
		t.Error("an address without a port is accepted")
	}
}

func TestTheReportOfCallsComparesWithTheWayAbove(t *testing.T) {
	row := func(way string, p50, p99 time.Duration) latency {
		return latency{way, []time.Duration{p50, p50 * 9, p50}, []time.Duration{p99, p99, p99 / 9}}
	}
	var out strings.Builder
	(&called{
		Latencies: []latency{row("plain", time.Millisecond, 2*time.Millisecond), row("mesh", 3*time.Millisecond, 7*time.Millisecond)},
		Passed: []passed{
			{"gateway", rate{1000, 4000}, rate{100, 500}}, {"nginx", rate{1000, 6000}, rate{100, 250}},
		},
		Memory: 10, MemoryWithServices: 16,
	}).print(&out)
	for _, want := range []string{"3.00 ms  +2.00 ms  7.00 ms  +5.00 ms", "x1.50", "x0.50", "3.0 MiB for each 1,000"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, &out)
		}
	}
}
