package program_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/deckhouse-mesh/istio/lib/program"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
)

// prepare makes a program that listens on free ports and has an API server that does not exist.
func prepare(t *testing.T) *program.Program {
	t.Helper()
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, []byte(`
apiVersion: v1
kind: Config
current-context: lab
contexts: [{name: lab, context: {cluster: lab, user: lab}}]
clusters: [{name: lab, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: lab, user: {}}]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", kubeconfig)
	dir := t.TempDir()
	if err := certtest.WritePair(dir, certtest.NewRoot("authority", time.Now()).Server(time.Now(), "127.0.0.1")); err != nil {
		t.Fatal(err)
	}
	p, err := program.Options{
		Listener:         &program.Listener{Address: "127.0.0.1:0", TLSDir: dir},
		TelemetryAddress: "127.0.0.1:0", Namespace: "d8-istio", ClusterUUID: "uuid-a",
	}.Prepare("test", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func parts(serve func(context.Context, net.Listener) error, background ...func(context.Context) error) program.Parts {
	return program.Parts{Serve: serve, Background: background, Ready: func() error { return nil }, Metrics: prometheus.NewRegistry()}
}

func untilDone(ctx context.Context, listener net.Listener) error {
	<-ctx.Done()
	return listener.Close()
}

func TestPeersAreAnsweredToTheEndBeforeTheRestStops(t *testing.T) {
	p := prepare(t)
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	background := func(ctx context.Context) error {
		<-ctx.Done()
		close(stopped)
		return nil
	}
	serve := func(ctx context.Context, listener net.Listener) error {
		stop()
		<-ctx.Done()
		select {
		case <-stopped:
			t.Error("the rest stopped while peers were still answered")
		case <-time.After(50 * time.Millisecond): // the last answers
		}
		return listener.Close()
	}
	if err := p.Run(ctx, parts(serve, background)); err != nil {
		t.Errorf("Run() = %v", err)
	}
	<-stopped
}

func TestAPartThatFailsStopsAllOthers(t *testing.T) {
	broken := errors.New("broken")
	fail := func(context.Context) error { return broken }
	wait := func(ctx context.Context) error {
		<-ctx.Done()
		return nil
	}
	for name, parts := range map[string]program.Parts{
		"in the background": parts(untilDone, wait, fail),
		"serving": parts(func(_ context.Context, listener net.Listener) error {
			return errors.Join(broken, listener.Close())
		}, wait),
	} {
		t.Run(name, func(t *testing.T) {
			if err := prepare(t).Run(t.Context(), parts); !errors.Is(err, broken) {
				t.Errorf("Run() = %v", err)
			}
		})
	}
}

func TestAnAddressInUseIsNamed(t *testing.T) {
	used, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = used.Close() }()
	for want, set := range map[string]func(*program.Program){
		"listen for peers":              func(p *program.Program) { p.Listener.Address = used.Addr().String() },
		"listen for probes and scrapes": func(p *program.Program) { p.TelemetryAddress = used.Addr().String() },
	} {
		p := prepare(t)
		set(p)
		if err := p.Run(t.Context(), parts(untilDone)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Run() = %v, want %q", err, want)
		}
	}
}

func TestAProgramWithoutAListenerRunsUntilItIsStopped(t *testing.T) {
	p := prepare(t)
	p.Listener = nil
	ctx, stop := context.WithCancel(t.Context())
	work := func(ctx context.Context) error {
		stop()
		<-ctx.Done()
		return nil
	}
	if err := p.Run(ctx, parts(nil, work)); err != nil {
		t.Errorf("Run() = %v", err)
	}
}
