package program_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/deckhouse-mesh/istio/lib/program"
)

func TestProbesAndMetricsAreServedUntilTheContextEnds(t *testing.T) {
	var listen net.ListenConfig
	listener, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "apples_total", Help: "Apples."})
	registry.MustRegister(counter)
	counter.Add(3)
	var notReady error
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	stopped := make(chan error, 1)
	go func() {
		handler := program.ProbesHandler(program.ReadyWhen(func() error { return notReady }), program.Handlers{
			"/metrics": promhttp.HandlerFor(registry, promhttp.HandlerOpts{}),
		})
		stopped <- program.ServeProbes(ctx, listener, handler, slog.New(slog.DiscardHandler))
	}()

	for _, test := range []struct {
		ready error
		path  string
		code  int
		text  string
	}{
		{nil, "/healthz", http.StatusOK, "ok"},
		{nil, "/readyz", http.StatusOK, "ok"},
		{nil, "/metrics", http.StatusOK, "apples_total 3"},
		{nil, "/", http.StatusNotFound, ""},
		{errors.New("no apples yet"), "/readyz", http.StatusServiceUnavailable, "no apples yet"},
		{errors.New("no apples yet"), "/healthz", http.StatusOK, "ok"},
	} {
		notReady = test.ready
		code, body := get(t, "http://"+listener.Addr().String()+test.path)
		if code != test.code || !strings.Contains(body, test.text) {
			t.Errorf("%s, ready %v: %d %s", test.path, test.ready, code, body)
		}
	}
	stop()
	if err := <-stopped; err != nil {
		t.Errorf("ServeProbes() = %v", err)
	}
}

func get(t *testing.T, address string) (code int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(content)
}
