package probe

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// serveLoad serves what a Load needs; stop ends it.
func serveLoad(t *testing.T) (web, streams net.Listener, stop func()) {
	t.Helper()
	listen := func() net.Listener {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return listener
	}
	web, streams = listen(), listen()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = Serve(ctx, web, streams)
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return web, streams, stop
}

// runLoad until enough, which gets every event, returns true.
func runLoad(t *testing.T, load Load, enough func(LoadEvent) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	found := false
	load.Run(ctx, func(event LoadEvent) {
		if !found && enough(event) {
			found = true
			cancel()
		}
	})
	if !found {
		t.Fatal("the load did not report what was expected")
	}
}

func newLoad(web, streams net.Listener) Load {
	return Load{
		URL: "http://" + web.Addr().String() + "/", Rate: 200, Connections: 10,
		StreamAddress: streams.Addr().String(), Streams: 2, MessageInterval: 5 * time.Millisecond, Timeout: 5 * time.Second,
	}
}

func TestALoadCountsAnsweredRequestsAndMessages(t *testing.T) {
	web, streams, _ := serveLoad(t)
	runLoad(t, newLoad(web, streams), func(event LoadEvent) bool {
		if event.Totals == nil {
			t.Errorf("a failure of a healthy server is reported: %+v", event)
			return true
		}
		return event.Totals.Requests > 20 && event.Totals.Messages > 20 && event.Totals.Failed+event.Totals.Broken == 0
	})
}

func TestALoadReportsFailedRequestsAndBrokenStreams(t *testing.T) {
	web, streams, stop := serveLoad(t)
	failed := map[string]bool{}
	runLoad(t, newLoad(web, streams), func(event LoadEvent) bool {
		switch {
		case event.Totals == nil:
			failed[event.Kind] = true
		case event.Totals.Requests > 0 && event.Totals.Messages > 0:
			go stop()
		}
		return failed["request"] && failed["stream"]
	})
}

func TestALoadReportsTheStatusAndTextOfAFailure(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no healthy upstream", http.StatusServiceUnavailable)
	}))
	defer server.Close()
	runLoad(t, Load{URL: server.URL, Rate: 100, Connections: 1, Timeout: time.Second}, func(event LoadEvent) bool {
		return event.Kind == "request" && strings.Contains(event.Error, "503: no healthy upstream")
	})
}
