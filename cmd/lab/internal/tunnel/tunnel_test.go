package tunnel

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/labtest"
)

const deadline = 10 * time.Second

// ask a server that connects to anything by an end of a pipe, or fails as told.
func ask(t *testing.T, request string, failure error) (*http.Response, *bufio.ReadWriter, net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	t.Cleanup(func() { _ = far.Close() })
	server := Server{Usage: "only CONNECT", Dial: func(_ context.Context, target string) (net.Conn, error) {
		if target != "target:443" {
			return nil, errors.New("asked for " + target)
		}
		return near, failure
	}}
	labtest.Run(t, func(ctx context.Context) error { return server.Serve(ctx, listener) })
	caller, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = caller.Close() })
	_ = caller.SetDeadline(time.Now().Add(deadline))
	_ = far.SetDeadline(time.Now().Add(deadline))
	both := bufio.NewReadWriter(bufio.NewReader(caller), bufio.NewWriter(caller))
	_, _ = both.WriteString(request + " HTTP/1.1\r\nHost: proxy\r\n\r\n")
	if err := both.Flush(); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(both.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	return response, both, far
}

func TestACallerIsJoinedWithItsTarget(t *testing.T) {
	response, caller, target := ask(t, "CONNECT target:443", nil)
	if response.StatusCode != http.StatusOK {
		t.Fatal(response.Status)
	}
	_, _ = caller.WriteString("ping")
	if err := caller.Flush(); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4)
	if _, err := io.ReadFull(target, got); err != nil || string(got) != "ping" {
		t.Fatalf("the target reads %q, %v", got, err)
	}
	if _, err := target.Write([]byte("pong")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(caller, got); err != nil || string(got) != "pong" {
		t.Fatalf("the caller reads %q, %v", got, err)
	}
	_ = target.Close()
	if _, err := caller.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("when the target has closed, the caller reads %v", err)
	}
}

func TestACallerIsToldWhyThereIsNoConnection(t *testing.T) {
	response, _, _ := ask(t, "CONNECT target:443", errors.New("no such\r\nplace"))
	if response.StatusCode != http.StatusBadGateway || !strings.Contains(response.Status, "no such  place") {
		t.Errorf("the answer is %q", response.Status)
	}
}

func TestNothingButConnectIsUnderstood(t *testing.T) {
	response, _, _ := ask(t, "GET /", nil)
	body, err := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusMethodNotAllowed || err != nil || !strings.Contains(string(body), "only CONNECT") {
		t.Errorf("the answer is %q: %q, %v", response.Status, body, err)
	}
}
