package server_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

// BenchmarkHostilePeersThatDoNotRead holds as much as so many peers can: each has all its requests and watches in flight, of
// endless answers that it does not read. MiB-held is the whole process: proxy, API server and peers.
func BenchmarkHostilePeersThatDoNotRead(b *testing.B) {
	for _, peers := range []int{10, 20} {
		b.Run(strconv.Itoa(peers), func(b *testing.B) { holdUnread(b, peers) })
	}
}

func holdUnread(b *testing.B, peers int) {
	b.Helper()
	var answering atomic.Int64
	p := start(b, setup{maxRequests: 100, maxWatches: 300, writeTimeout: time.Minute, answer: func(w http.ResponseWriter, r *http.Request) {
		answering.Add(1)
		piece := make([]byte, 32<<10)
		for r.Context().Err() == nil {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	}})
	before := held()
	var crowd []peerstest.Peer
	for number := range peers {
		crowd = append(crowd, peerstest.NewPeer(b, fmt.Sprint("hostile-", number)))
	}
	p.trust(b, append(crowd, p.b)...)
	for _, each := range crowd {
		// The peers are in this process, too: their windows are the smallest there are.
		transport := &http.Transport{TLSClientConfig: p.tlsConfig(), ForceAttemptHTTP2: true,
			HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 1, MaxReceiveBufferPerConnection: 64 << 10}}
		b.Cleanup(transport.CloseIdleConnections)
		client := &http.Client{Transport: transport}
		for index := range 400 {
			target := "/api/v1/pods?limit=500"
			if index >= 100 {
				target = podWatch
			}
			request := p.request(b, http.MethodGet, target, "")
			request.Header.Set("Authorization", "Bearer "+each.Token(b, here, authn.ScopeAPI))
			go func() {
				if response, err := client.Do(request); err == nil {
					b.Cleanup(func() { _ = response.Body.Close() })
				}
			}()
		}
	}
	time.Sleep(10 * time.Second)
	answers, most := answering.Load(), held()-before
	for b.Loop() {
	}
	b.ReportMetric(float64(answers), "answers")
	b.ReportMetric(float64(most)/(1<<20), "MiB-held")
}

func held() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapInuse + stats.StackInuse
}
