package serviceproxy

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/labtest"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/wan"
)

const deadline = 10 * time.Second

// backend answers every connection with its name after reading to the end of the request.
func backend(t *testing.T, name string) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = connection.Close() }()
				request, _ := io.ReadAll(connection)
				_, _ = io.WriteString(connection, name+":"+string(request))
			}()
		}
	}()
	return listener.Addr().(*net.TCPAddr).AddrPort()
}

func serve(t *testing.T) *Front {
	t.Helper()
	return serveOn(t, Listen)
}

func serveOn(t *testing.T, listen func(netip.AddrPort) (*Front, error)) *Front {
	t.Helper()
	front, err := listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	labtest.Run(t, front.Serve)
	return front
}

func ask(t *testing.T, front *Front) (string, error) {
	t.Helper()
	return say(t, front, "hello")
}

func say(t *testing.T, front *Front, request string) (string, error) {
	t.Helper()
	connection, err := net.Dial("tcp", front.Address().String())
	if err != nil {
		return "", err
	}
	defer func() { _ = connection.Close() }()
	_ = connection.SetDeadline(time.Now().Add(deadline))
	if _, err := io.WriteString(connection, request); err != nil {
		return "", err
	}
	if err := connection.(*net.TCPConn).CloseWrite(); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(connection)
	return string(answer), err
}

func TestConnectionsAreSpreadOverTheBackends(t *testing.T) {
	front := serve(t)
	front.SetBackends([]netip.AddrPort{backend(t, "a"), backend(t, "b")})
	seen := map[string]int{}
	for range 4 {
		answer, err := ask(t, front)
		if err != nil {
			t.Fatal(err)
		}
		seen[answer]++
	}
	if seen["a:hello"] != 2 || seen["b:hello"] != 2 {
		t.Fatalf("answers %v, want two of each backend", seen)
	}
}

func TestABackendThatRefusesIsPassedOver(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := gone.Addr().(*net.TCPAddr).AddrPort()
	_ = gone.Close()
	front := serve(t)
	front.SetBackends([]netip.AddrPort{address, backend(t, "b")})
	for range 2 {
		if answer, err := ask(t, front); err != nil || answer != "b:hello" {
			t.Fatalf("answer %q, %v", answer, err)
		}
	}
}

func TestWithoutBackendsTheConnectionIsReset(t *testing.T) {
	if answer, err := ask(t, serve(t)); err == nil {
		t.Fatalf("answer %q without an error", answer)
	}
}

func TestAConnectionEndsWhenTheFrontStops(t *testing.T) {
	front, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	front.SetBackends([]netip.AddrPort{backend(t, "a")})
	stop := labtest.Run(t, front.Serve)
	connection, err := net.Dial("tcp", front.Address().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	stop() // an open connection does not keep it from ending
}

func TestASplitFrontTellsTLSFromTheRest(t *testing.T) {
	front := serveOn(t, ListenSplit)
	front.SetBackends([]netip.AddrPort{backend(t, "plain")})
	front.SetTLSBackends([]netip.AddrPort{backend(t, "encrypted")})
	for request, want := range map[string]string{
		"PRI * HTTP/2.0":       "plain:PRI * HTTP/2.0",
		"\x16\x03\x01\x02\x00": "encrypted:\x16\x03\x01\x02\x00",
	} {
		if answer, err := say(t, front, request); err != nil || answer != want {
			t.Errorf("the answer to %q is %q, %v", request, answer, err)
		}
	}
}

func TestAClientThatSaysNothingDoesNotKeepASplitFrontFromStopping(t *testing.T) {
	var silent net.Conn
	t.Run("while it is connected", func(t *testing.T) {
		front := serveOn(t, ListenSplit)
		front.SetBackends([]netip.AddrPort{backend(t, "a")})
		var err error
		if silent, err = net.Dial("tcp", front.Address().String()); err != nil {
			t.Fatal(err)
		}
		// Connections are accepted in order: when the second is served, the first is being served.
		if answer, err := ask(t, front); err != nil || answer != "a:hello" {
			t.Fatalf("answer %q, %v", answer, err)
		}
	})
	if silent != nil {
		_ = silent.Close()
	}
}

func TestAFrontBehindACutLinkIsSilent(t *testing.T) {
	link := &wan.Link{}
	front := serveOn(t, func(address netip.AddrPort) (*Front, error) { return ListenBehind(link, address) })
	front.SetBackends([]netip.AddrPort{backend(t, "a")})
	if answer, err := ask(t, front); err != nil || answer != "a:hello" {
		t.Fatalf("before the cut: answer %q, %v", answer, err)
	}
	link.Cut()
	connection, err := net.Dial("tcp", front.Address().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	if _, err := io.WriteString(connection, "hello"); err != nil {
		t.Fatal(err)
	}
	if err := connection.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	_ = connection.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := connection.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("across the cut link a read ends with %v", err)
	}
	link.Restore()
	_ = connection.SetReadDeadline(time.Now().Add(deadline))
	if _, err := connection.Read(make([]byte, 1)); err != nil {
		t.Errorf("what was sent before has no answer when the link is restored: %v", err)
	}
}
