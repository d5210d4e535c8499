package probe

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// totalsInterval is how often a load reports its totals.
const totalsInterval = time.Second

// Load is a steady load of requests on connections that stay open, and of gRPC streams that never end.
type Load struct {
	// URL of the requests; none are sent when it is empty.
	URL string
	// Rate of requests a second.
	Rate float64
	// Connections is how many requests are in flight at most, each on a connection of its own.
	Connections int
	// StreamAddress is host:port of a gRPC server with reflection; no streams are opened when it is empty.
	StreamAddress string
	// Streams is how many are open at once.
	Streams int
	// MessageInterval between the messages of a stream, each of which waits for its answer.
	MessageInterval time.Duration
	// Timeout of a request, and of an answer on a stream.
	Timeout time.Duration
}

// Totals of a load since its beginning.
type Totals struct {
	// Requests that have ended, Failed those among them without an answer of the application.
	Requests int64 `json:"requests"`
	Failed   int64 `json:"failed"`
	// Messages that were answered on streams, Broken the streams that ended.
	Messages int64 `json:"messages"`
	Broken   int64 `json:"broken"`
}

// LoadEvent is one failure of a load, or its totals.
type LoadEvent struct {
	At time.Time `json:"at"`
	// Kind of what failed: request or stream; empty for totals.
	Kind string `json:"kind,omitempty"`
	// Error says what failed, After how long the request or the message took until then.
	Error string        `json:"error,omitempty"`
	After time.Duration `json:"after,omitempty"`
	// Totals are nil for a failure.
	Totals *Totals `json:"totals,omitempty"`
}

// load is a Load that runs.
type load struct {
	Load
	report func(LoadEvent)
	mu     sync.Mutex

	requests, failed, messages, broken atomic.Int64
}

// Run loads until the context ends. It reports each failure, and the totals every second and at the end; never two at once.
func (l Load) Run(ctx context.Context, report func(LoadEvent)) {
	running := &load{Load: l, report: report}
	var group sync.WaitGroup
	if l.URL != "" {
		group.Go(func() { running.request(ctx) })
	}
	if l.StreamAddress != "" {
		for range l.Streams {
			group.Go(func() { running.stream(ctx) })
		}
	}
	group.Go(func() { running.reportTotals(ctx) })
	group.Wait()
	running.totals(time.Now())
}

func (l *load) reportTotals(ctx context.Context) {
	ticker := time.NewTicker(totalsInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			l.totals(now)
		}
	}
}

func (l *load) totals(now time.Time) {
	l.tell(LoadEvent{At: now, Totals: &Totals{
		Requests: l.requests.Load(), Failed: l.failed.Load(), Messages: l.messages.Load(), Broken: l.broken.Load(),
	}})
}

func (l *load) tell(event LoadEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.report(event)
}

// request sends requests at the load's rate until ctx ends.
func (l *load) request(ctx context.Context) {
	transport := &http.Transport{
		DialContext: dialAbsolute, MaxIdleConnsPerHost: l.Connections, MaxConnsPerHost: l.Connections,
	}
	defer transport.CloseIdleConnections()
	slots := make(chan struct{}, l.Connections)
	ticker := time.NewTicker(time.Duration(float64(time.Second) / l.Rate))
	defer ticker.Stop()
	var running sync.WaitGroup
	defer running.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		select {
		case <-ctx.Done():
			return
		case slots <- struct{}{}:
			running.Go(func() {
				defer func() { <-slots }()
				l.once(ctx, transport)
			})
		}
	}
}

// once sends one request.
func (l *load) once(ctx context.Context, transport http.RoundTripper) {
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, l.Timeout)
	defer cancel()
	failure := ask(limited, transport, l.URL)
	if ctx.Err() != nil {
		return // the load's end interrupted it
	}
	l.requests.Add(1)
	if failure != "" {
		l.failed.Add(1)
		l.tell(LoadEvent{At: time.Now(), Kind: "request", Error: failure, After: time.Since(began)})
	}
}

// ask returns why the application did not answer with 200; "" when it did.
func ask(ctx context.Context, transport http.RoundTripper, url string) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err.Error()
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return explain(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, bodyLimit))
	if err != nil {
		return "read the body: " + explain(err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Sprintf("%s: %s", strconv.Itoa(response.StatusCode), firstLine(string(body)))
	}
	return ""
}
