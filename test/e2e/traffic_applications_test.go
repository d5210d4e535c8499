//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/deckhouse-mesh/istio/test/support/certtest"
)

// Ports of the applications that a test runs in a Pod.
const (
	filesPort  = 8181
	streamPort = 8182
	sealedPort = 8183
	fastPort   = 8184
	echoPort   = 8185
)

// bodySize of a long request or answer.
const bodySize = 100 << 20

// protocolsService has ports whose name, number and target differ, for the Pods with label version=v1.
const protocolsService = `apiVersion: v1
kind: Service
metadata:
  name: protocols
  labels: {federation.istio.deckhouse.io/public-service: ""}
spec:
  selector: {app: api, version: v1}
  ports:
  - {name: http-files, port: 8000, targetPort: 8181}
  - {name: http2-files, port: 8001, targetPort: 8184}
  - {name: stream, appProtocol: grpc, port: 8002, targetPort: 8182}
  - {name: tcp-raw, port: 8003, targetPort: 9000}
  - {name: tls-sealed, port: 8004, targetPort: 8183}
  - {name: https-sealed, port: 8005, targetPort: 8183}
  - {name: tcp-echo, port: 8006, targetPort: 8185}
  - {name: web, appProtocol: http, port: 80, targetPort: http}
`

// filler is a long body without a length of its own: the same bytes for every reader.
type filler struct{ left int }

func (f *filler) Read(into []byte) (int, error) {
	if f.left == 0 {
		return 0, io.EOF
	}
	n := min(len(into), f.left)
	for i := range n {
		into[i] = byte(f.left - i)
	}
	f.left -= n
	return n, nil
}

// digest of what a reader has.
func digest(from io.Reader) (string, error) {
	sum := sha256.New()
	_, err := io.Copy(sum, from)
	return hex.EncodeToString(sum.Sum(nil)), err
}

// runApplications in the Pod until the test ends: files over HTTP/1.1 and HTTP/2 with a WebSocket beside, a gRPC stream and a TCP
// connection that echo (Istio's echo server closes each TCP connection after 15 seconds), and TLS of the application itself. They
// return the authority of the latter's certificate.
func (i *insider) runApplications(t *testing.T, host string) certtest.Authority {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	files := &http.Server{Handler: filesHandler(), Protocols: protocols}
	for _, port := range []int{filesPort, fastPort} {
		listener := i.listen(t, port)
		go func() { _ = files.Serve(listener) }()
	}
	t.Cleanup(func() { _ = files.Close() })

	stream := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		for {
			message := &wrapperspb.StringValue{}
			if err := stream.RecvMsg(message); err != nil {
				return err // the client has had enough
			}
			if err := stream.SendMsg(message); err != nil {
				return err
			}
		}
	}))
	streams := i.listen(t, streamPort)
	go func() { _ = stream.Serve(streams) }()
	t.Cleanup(stream.Stop)

	go echoConnections(i.listen(t, echoPort))

	authority := certtest.NewRoot("the application's own", time.Now())
	sealed, listener := &http.Server{Handler: filesHandler()}, i.listen(t, sealedPort)
	go func() {
		_ = sealed.Serve(tls.NewListener(listener, &tls.Config{
			MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{authority.Server(time.Now(), host)},
		}))
	}()
	t.Cleanup(func() { _ = sealed.Close() })
	return authority
}

// echoConnections until the listener is closed.
func echoConnections(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(connection, connection)
			_ = connection.Close()
		}()
	}
}

func filesHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/protocol", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })
	mux.HandleFunc("/upload", func(w http.ResponseWriter, r *http.Request) {
		sum, err := digest(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, sum)
	})
	mux.HandleFunc("/download", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, &filler{bodySize}) })
	mux.Handle("/socket", websocket.Handler(func(connection *websocket.Conn) { _, _ = io.Copy(connection, connection) }))
	return mux
}

// http2 is a transport for HTTP/2 in plain text from within the Pod, as gRPC applications speak it.
func (i *insider) http2() *http.Transport {
	transport := i.transport()
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetUnencryptedHTTP2(true)
	return transport
}

// fetch a URL as text, or send a body and read the answer.
func fetch(transport http.RoundTripper, url string, body io.Reader) (string, error) {
	response, err := exchange(transport, url, body)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	return string(content), err
}

// exchange a request for its answer, whose body the caller reads and closes.
func exchange(transport http.RoundTripper, url string, body io.Reader) (*http.Response, error) {
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	sent, err := http.NewRequestWithContext(context.Background(), method, url, body)
	if err != nil {
		return nil, err
	}
	response, err := (&http.Client{Transport: transport, Timeout: restarted}).Do(sent)
	if err == nil && response.StatusCode != http.StatusOK {
		_ = response.Body.Close()
		return nil, errors.New(response.Status)
	}
	return response, err
}

// talk is an open connection of an application that can send a text and get it back.
type talk interface {
	say(text string) (heard string, err error)
	hangUp()
}

// stream of gRPC.
type grpcTalk struct {
	stream grpc.ClientStream
	end    func()
}

func (i *insider) openStream(address string) (talk, error) {
	connection, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) { return i.dial(ctx, "tcp", address) }))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	end := func() {
		cancel()
		_ = connection.Close()
	}
	stream, err := connection.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/echo/Stream")
	if err != nil {
		end()
		return nil, err
	}
	return &grpcTalk{stream, end}, nil
}

func (s *grpcTalk) say(text string) (string, error) {
	var heard wrapperspb.StringValue
	err := s.stream.SendMsg(wrapperspb.String(text))
	if err == nil {
		err = s.stream.RecvMsg(&heard)
	}
	return heard.Value, err
}

func (s *grpcTalk) hangUp() { s.end() }

// socketTalk uses a WebSocket.
type socketTalk struct{ *websocket.Conn }

func (i *insider) openSocket(address string) (talk, error) {
	configuration, err := websocket.NewConfig("ws://"+address+"/socket", "http://"+address)
	if err != nil {
		return nil, err
	}
	connection, err := i.dial(context.Background(), "tcp", address)
	if err != nil {
		return nil, err
	}
	socket, err := websocket.NewClient(configuration, connection)
	if err != nil {
		_ = connection.Close()
		return nil, err
	}
	return &socketTalk{socket}, nil
}

func (s *socketTalk) say(text string) (string, error) {
	_ = s.SetDeadline(time.Now().Add(stallTimeout))
	if err := websocket.Message.Send(s.Conn, text); err != nil {
		return "", err
	}
	var heard string
	err := websocket.Message.Receive(s.Conn, &heard)
	return heard, err
}

func (s *socketTalk) hangUp() { _ = s.Close() }

// httpTalk uses one connection of HTTP/1.1. It is no http.Transport's: that gives up a connection whose end of a write it
// hears of late, as it does on a loaded machine.
type httpTalk struct {
	net.Conn
	answers *bufio.Reader
	url     string
}

func (i *insider) openHTTP(address string) (talk, error) {
	connection, err := i.dial(context.Background(), "tcp", address)
	if err != nil {
		return nil, err
	}
	return &httpTalk{connection, bufio.NewReader(connection), "http://" + address + "/upload"}, nil
}

func (h *httpTalk) say(text string) (string, error) {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, h.url, strings.NewReader(text))
	if err != nil {
		return "", err
	}
	_ = h.SetDeadline(time.Now().Add(stallTimeout))
	if err := request.Write(h); err != nil {
		return "", err
	}
	response, err := http.ReadResponse(h.answers, request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	sum, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if wanted, _ := digest(strings.NewReader(text)); response.StatusCode != http.StatusOK || strings.TrimSpace(string(sum)) != wanted {
		return "", fmt.Errorf("status %d: the server received %s, not %s", response.StatusCode, sum, wanted)
	}
	return text, nil
}

func (h *httpTalk) hangUp() { _ = h.Close() }

// tcpTalk uses a connection to an application that echoes.
type tcpTalk struct{ net.Conn }

func (i *insider) openTCP(address string) (talk, error) {
	connection, err := i.dial(context.Background(), "tcp", address)
	if err != nil {
		return nil, err
	}
	return tcpTalk{connection}, nil
}

func (c tcpTalk) say(text string) (string, error) {
	_ = c.SetDeadline(time.Now().Add(stallTimeout))
	if _, err := io.WriteString(c, text); err != nil {
		return "", err
	}
	heard := make([]byte, len(text))
	n, err := io.ReadFull(c, heard)
	return string(heard[:n]), err
}

func (c tcpTalk) hangUp() { _ = c.Close() }
