package checker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/healthcheck"
	"github.com/deckhouse-mesh/istio/test/support/awaittest"
)

const targets = `[{"kind": "IstioFederation", "name": "b", "clusterUUID": "uuid-b", "host": "b.example"}]`

// mesh answers calls with what a test sets.
type mesh struct {
	mu     sync.Mutex
	reason string
	calls  int
}

func (m *mesh) Call(context.Context, healthcheck.Target) healthcheck.Result {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	return healthcheck.Result{ClusterUUID: "uuid-b", Reason: m.reason}
}

func (m *mesh) called() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls
}

// written stores what is written, unless it fails.
type written struct {
	reports []healthcheck.Report
	err     error
}

func (w *written) Write(_ context.Context, report healthcheck.Report) error {
	if w.err == nil {
		w.reports = append(w.reports, report)
	}
	return w.err
}

func TestAReportIsWrittenWhenItChangesAndEveryMinute(t *testing.T) {
	var (
		peers   = &mesh{reason: healthcheck.ReasonAnswers}
		reports = &written{}
		now     = time.Date(2030, 11, 22, 12, 0, 0, 0, time.UTC)
	)
	c := New(peers, reports, NewMetrics(), func() time.Time { return now }, slog.New(slog.DiscardHandler))
	if err := c.Ready(); err == nil {
		t.Error("it is ready before it knows whom to call")
	}
	if err := c.SetTargets(targets); err != nil {
		t.Fatal(err)
	}
	if err := c.Ready(); err != nil {
		t.Errorf("Ready() = %v", err)
	}
	step := func(name, reason string, later time.Duration, wantReports int) {
		t.Helper()
		now, peers.reason = now.Add(later), reason
		c.round(t.Context())
		if len(reports.reports) != wantReports {
			t.Errorf("%s: %d reports are written, want %d", name, len(reports.reports), wantReports)
		}
	}
	step("the first answer", healthcheck.ReasonAnswers, 0, 1)
	step("nothing new", healthcheck.ReasonAnswers, Interval, 1)
	step("a minute after the last report", healthcheck.ReasonAnswers, healthcheck.Heartbeat, 2)
	step("one failure", healthcheck.ReasonTLSRejected, Interval, 2)
	step("two failures", healthcheck.ReasonTLSRejected, retryInterval, 3)
	step("an answer again", healthcheck.ReasonAnswers, Interval, 4)
	last := reports.reports[3]
	if got := last.Results["IstioFederation/b"]; !got.Answers() || got.ClusterUUID != "uuid-b" || !last.Time.Equal(now) {
		t.Errorf("the last report is %+v", last)
	}
	if err := c.SetTargets("[]"); err != nil {
		t.Fatal(err)
	}
	step("a peer less", healthcheck.ReasonAnswers, 0, 5)
	if got := reports.reports[4].Results; len(got) != 0 {
		t.Errorf("what is no target any more is reported: %v", got)
	}
}

func TestAReportThatCannotBeWrittenIsWrittenLater(t *testing.T) {
	peers, reports := &mesh{reason: healthcheck.ReasonAnswers}, &written{err: errors.New("the API server is away")}
	c := New(peers, reports, NewMetrics(), time.Now, slog.New(slog.DiscardHandler))
	if err := c.SetTargets(targets); err != nil {
		t.Fatal(err)
	}
	if !c.round(t.Context()) {
		t.Error("the next try is not soon")
	}
	reports.err = nil
	c.round(t.Context())
	if len(reports.reports) != 1 {
		t.Errorf("%d reports are written", len(reports.reports))
	}
}

func TestAListThatCannotBeDecodedChangesNothing(t *testing.T) {
	c := New(&mesh{}, &written{}, NewMetrics(), time.Now, slog.New(slog.DiscardHandler))
	if err := c.SetTargets(targets); err != nil {
		t.Fatal(err)
	}
	if err := c.SetTargets("{"); err == nil || len(c.targets) != 1 {
		t.Errorf("SetTargets() = %v, %d targets", err, len(c.targets))
	}
}

func TestPeersAreCalledAtOnceWhenTheListChanges(t *testing.T) {
	peers := &mesh{reason: healthcheck.ReasonAnswers}
	c := New(peers, &written{}, NewMetrics(), time.Now, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	if err := c.SetTargets(targets); err != nil {
		t.Fatal(err)
	}
	awaittest.Holds(t, Interval/2, "the peer is called", func() string {
		if peers.called() > 0 {
			return ""
		}
		return "not yet"
	})
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run() = %v", err)
	}
}
