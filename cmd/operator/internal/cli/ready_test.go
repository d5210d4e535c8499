package cli

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestReadyWaitsUntilTheOperatorIs(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			t.Errorf("%s is asked for", r.URL.Path)
		}
		if asked.Add(1) < 3 {
			http.Error(w, "first run of the modules in progress", http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := awaitReady(ctx, server.URL+"/readyz", time.Millisecond); err != nil {
		t.Fatal(err)
	}
}

func TestReadySaysWhatTheOperatorAnswersInstead(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 2 { // the answer before it has arrived
			cancel()
		}
		http.Error(w, "first run of the modules in progress", http.StatusServiceUnavailable)
	}))
	defer server.Close()
	err := awaitReady(ctx, server.URL+"/readyz", time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "503") || !strings.Contains(err.Error(), "first run of the modules in progress") {
		t.Errorf("the error is %v", err)
	}
}

func TestReadyRejectsWhatIsNoAddress(t *testing.T) {
	for _, args := range [][]string{{"ready"}, {"ready", "istio-operator"}, {"ready", "https://a", "b"}} {
		if code := Execute(args, nil); code != exitUsage {
			t.Errorf("%v ends with %d", args, code)
		}
	}
}
