package server_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/documents"
	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/peers"
	"github.com/deckhouse-mesh/istio/test/support/exportertest"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

// BenchmarkPeersThatDoNotRead has the largest document that peers accept, which changes as
// often as it may, two hundred peers that wait for it, and ten that send all the requests
// they may and read nothing. MiB-held is the most that the whole process had, peers
// included.
func BenchmarkPeersThatDoNotRead(b *testing.B) {
	e := start(b)
	services := make([]*corev1.Service, metadata.MaxServices)
	for number := range services {
		services[number] = &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("a-service-with-a-name-%05d", number), Namespace: fmt.Sprintf("a-namespace-%03d", number%200)},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}, {Name: "grpc-api", Port: 9090}}},
		}
	}
	candidates := exportertest.Candidates(b, e.own.Domain, services...)
	changed := exportertest.Candidates(b, e.own.Domain, services[1:]...)

	entries, callers := map[string]peers.Entry{}, make([]peerstest.Peer, 210)
	for index := range callers {
		callers[index] = peerstest.NewPeer(b, fmt.Sprint("peer-", index))
		entries[callers[index].UUID] = callers[index].Entry("IstioFederation")
	}
	e.setPeers(entries)
	before := held()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var answers, versions atomic.Int64
	ask := func(client *http.Client, caller peerstest.Peer, read bool) {
		for etag := ""; ctx.Err() == nil; {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, e.url+metadata.FederationPath, nil)
			if err != nil {
				b.Error(err)
				return
			}
			request.Header.Set("Authorization", "Bearer "+caller.Token(b, e.own.UUID, authn.ScopePrivateFederation))
			if etag != "" {
				request.Header.Set("If-None-Match", etag)
				request.Header.Set("Prefer", "wait=55")
			}
			response, err := client.Do(request)
			if err != nil {
				continue
			}
			answers.Add(1)
			etag = response.Header.Get("ETag")
			if read {
				_, _ = io.Copy(io.Discard, response.Body)
			} else {
				select {
				case <-ctx.Done():
				case <-time.After(16 * time.Second): // until the exporter has cut the answer off
				}
			}
			_ = response.Body.Close()
		}
	}
	for index, caller := range callers {
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true,
			HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 1, MaxReceiveBufferPerConnection: 64 << 10}}
		b.Cleanup(transport.CloseIdleConnections)
		if hostile := index < 10; hostile {
			for turn := range 32 {
				go func() {
					time.Sleep(time.Duration(turn) * 500 * time.Millisecond) // each another version
					ask(&http.Client{Transport: transport}, caller, false)
				}()
			}
			continue
		}
		go ask(&http.Client{Transport: transport}, caller, true)
	}
	var most uint64
	pace := documents.NewPace()
	for end := time.Now().Add(40 * time.Second); time.Now().Before(end); versions.Add(1) {
		of := candidates
		if versions.Load()%2 == 1 {
			of = changed
		}
		if _, err := e.documents.Update(e.configMap, of); err != nil {
			b.Fatal(err)
		}
		most = max(most, held())
		pace.Wait(ctx, len(e.documents.Federation.Current().Body))
	}
	for b.Loop() {
	}
	b.ReportMetric(float64(len(e.documents.Federation.Current().Body))/(1<<20), "MiB-document")
	b.ReportMetric(float64(versions.Load()), "versions")
	b.ReportMetric(float64(answers.Load()), "answers")
	b.ReportMetric(float64(most-before)/(1<<20), "MiB-held")
	runtime.KeepAlive(candidates)
}

// held is what the process has of the system and has not given back.
func held() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.Sys - stats.HeapReleased
}
