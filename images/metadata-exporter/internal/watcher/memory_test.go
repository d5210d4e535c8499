package watcher_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	k8sruntime "k8s.io/apimachinery/pkg/runtime"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/watcher"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/peer"
)

// BenchmarkHostilePeers watches two hundred peers that answer every poll at once, with
// another ETag and the largest document that is read. MiB-held is the most that the whole
// process had, watcher and peers, collected or not.
func BenchmarkHostilePeers(b *testing.B) {
	const count = 200
	var answers, reading, mostReading atomic.Int64
	piece := make([]byte, 64<<10)
	piece[0] = '{'
	listener, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mostReading.Store(max(mostReading.Load(), reading.Add(1)))
		defer reading.Add(-1)
		w.Header().Set("ETag", strconv.Quote(strconv.FormatInt(answers.Add(1), 10)))
		w.Header().Set("Preference-Applied", "wait=55")
		for range metadata.MaxFederationBytes / len(piece) {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	}))
	server.Listener, server.EnableHTTP2 = listener, true
	server.StartTLS()
	b.Cleanup(server.Close)

	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	var resources []k8sruntime.Object
	for number := range count {
		resource := federation(fmt.Sprint("uuid-", number), "")
		resource.SetName(fmt.Sprint("hostile-", number))
		resource.Object["spec"] = map[string]any{ // an address of its own has a connection of its own
			"metadataEndpoint": fmt.Sprintf("https://127.0.0.%d:%s/metadata/", number+1, port), "metadata": map[string]any{"insecureSkipVerify": true},
		}
		resources = append(resources, resource)
	}
	before := held()
	watch := &watcher.Watcher{
		Kind: watcher.Federations, Client: newClient("", resources...), Namespace: "d8-istio", Peers: peer.NewClient(),
		Token:   func(string, string) (string, error) { return "token", nil },
		Metrics: watcher.NewMetrics(), Log: slog.New(slog.DiscardHandler), Timing: watcher.DefaultTiming(),
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = watch.Run(ctx) }()
	var most uint64
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		most = max(most, held())
	}
	for b.Loop() {
	}
	b.ReportMetric(float64(answers.Load()), "answers")
	b.ReportMetric(float64(mostReading.Load()), "answers-at-once")
	b.ReportMetric(float64(most-before)/(1<<20), "MiB-held")
	cancel()
	<-ended
}

// held is what the process has of the system and has not given back.
func held() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.Sys - stats.HeapReleased
}
