package server

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/test/support/exportertest"
)

const timeout = 10 * time.Second

func listen(t *testing.T) (*handshakes, func() net.Conn) {
	t.Helper()
	certificate, key := exportertest.CertificatePEM(t, "b", true)
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := newHandshakes(plain, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}})
	t.Cleanup(func() { _ = listener.Close() })
	return listener, func() net.Conn {
		t.Helper()
		connection, err := net.Dial("tcp", plain.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = connection.Close() })
		if err := connection.SetDeadline(time.Now().Add(timeout)); err != nil {
			t.Fatal(err)
		}
		return connection
	}
}

func TestACallerWithoutAHandshakeDelaysNoOther(t *testing.T) {
	listener, dial := listen(t)
	dial()
	shaken := tls.Client(dial(), &tls.Config{InsecureSkipVerify: true})
	result := make(chan error, 1)
	go func() { result <- shaken.Handshake() }()
	connection, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if served, ok := connection.(*tls.Conn); !ok || !served.ConnectionState().HandshakeComplete {
		t.Errorf("accepted a %T whose handshake is not complete", connection)
	}
	if err := <-result; err != nil {
		t.Error(err)
	}
}

func TestACallerWithoutTLSGetsAnExplanation(t *testing.T) {
	listener, dial := listen(t)
	server := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: timeout, ErrorLog: slog.NewLogLogger(slog.New(slog.DiscardHandler).Handler(), slog.LevelDebug)}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	connection := dial()
	if _, err := io.WriteString(connection, "GET / HTTP/1.1\r\nHost: b\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusBadRequest {
		t.Errorf("got %s", response.Status)
	}
}

func TestNoConnectionIsAcceptedAfterClose(t *testing.T) {
	listener, dial := listen(t)
	accepted := make(chan error, 1)
	go func() {
		_, err := listener.Accept()
		accepted <- err
	}()
	connection := dial()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept() = %v", err)
	}
	if _, err := listener.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept() = %v", err)
	}
	// A connection that was accepted and not returned is closed, or reset.
	shaken := tls.Client(connection, &tls.Config{InsecureSkipVerify: true})
	_ = shaken.Handshake()
	if _, err := shaken.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("the connection is still open: %v", err)
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
