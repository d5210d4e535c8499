package egress

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/labtest"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/podnet"
)

const deadline = 10 * time.Second

// start a proxy of a network in which the Pod 10.100.0.10 is at 127.0.0.1.
func start(t *testing.T) (proxy *Proxy, stop func()) {
	t.Helper()
	network := podnet.New(netip.MustParsePrefix("10.100.0.0/16"), func(byte) netip.Addr { return netip.MustParseAddr("127.0.0.1") })
	proxy, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"), network)
	if err != nil {
		t.Fatal(err)
	}
	return proxy, labtest.Run(t, proxy.Serve)
}

func serve(t *testing.T) *Proxy {
	t.Helper()
	proxy, _ := start(t)
	return proxy
}

// pod answers every line with itself.
func pod(t *testing.T) (port uint16) {
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
				_, _ = io.Copy(connection, connection)
			}()
		}
	}()
	return listener.Addr().(*net.TCPAddr).AddrPort().Port()
}

// connect to the proxy as its configuration file says.
func connect(t *testing.T, proxy *Proxy) net.Conn {
	t.Helper()
	file, err := proxy.WriteConfiguration(filepath.Join(t.TempDir(), "egress"))
	if err != nil {
		t.Fatal(err)
	}
	var configuration struct {
		EgressSelections []struct {
			Name       string
			Connection struct {
				Transport struct {
					TCP struct {
						URL       string
						TLSConfig struct{ CABundle, ClientCert, ClientKey string }
					}
				}
			}
		}
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(content, &configuration); err != nil {
		t.Fatal(err)
	}
	if len(configuration.EgressSelections) != 1 || configuration.EgressSelections[0].Name != "cluster" {
		t.Fatalf("the configuration is %s", content)
	}
	transport := configuration.EgressSelections[0].Connection.Transport.TCP
	pair, err := tls.LoadX509KeyPair(transport.TLSConfig.ClientCert, transport.TLSConfig.ClientKey)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(transport.TLSConfig.CABundle)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	connection, err := tls.Dial("tcp", strings.TrimPrefix(transport.URL, "https://"), &tls.Config{
		RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	_ = connection.SetDeadline(time.Now().Add(deadline))
	return connection
}

// ask speaks as the API server does.
func ask(t *testing.T, connection net.Conn, request string) (*http.Response, *bufio.Reader) {
	t.Helper()
	if _, err := io.WriteString(connection, request+" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(connection)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	return response, reader
}

func TestAConnectionToAPodReachesItsRealAddress(t *testing.T) {
	connection := connect(t, serve(t))
	response, reader := ask(t, connection, fmt.Sprintf("CONNECT 10.100.0.10:%d", pod(t)))
	if response.StatusCode != http.StatusOK || reader.Buffered() != 0 {
		t.Fatalf("the answer is %s with %d bytes behind it", response.Status, reader.Buffered())
	}
	if _, err := io.WriteString(connection, "hello\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := reader.ReadString('\n'); err != nil || line != "hello\n" {
		t.Errorf("the Pod said %q, %v", line, err)
	}
}

func TestWhatIsNoPodIsRefusedWithTheReason(t *testing.T) {
	unused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := unused.Addr().(*net.TCPAddr).Port
	_ = unused.Close()
	for name, test := range map[string]struct {
		request, want string
		status        int
	}{
		"a name":                                {"CONNECT istiod.d8-istio.svc:443", "Pods only", http.StatusBadGateway},
		"an address outside the Pod range":      {"CONNECT 10.150.0.10:443", "not in the Pod range", http.StatusBadGateway},
		"an address of the cluster's own block": {"CONNECT 10.100.0.1:2379", "never given to a Pod", http.StatusBadGateway},
		"a Pod that does not listen":            {fmt.Sprintf("CONNECT 10.100.0.10:%d", closed), "refused", http.StatusBadGateway},
		"another method":                        {"GET http://10.100.0.10/", "Method Not Allowed", http.StatusMethodNotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			response, _ := ask(t, connect(t, serve(t)), test.request)
			if response.StatusCode != test.status || !strings.Contains(response.Status, test.want) {
				t.Errorf("the answer is %q", response.Status)
			}
		})
	}
}

func TestACallerWithoutTheCertificateIsRefused(t *testing.T) {
	proxy := serve(t)
	block, _ := pem.Decode(proxy.identity.authority.PEM)
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	connection, err := tls.Dial("tcp", proxy.Address().String(), &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
	if err == nil { // with TLS 1.3 the refusal comes with the first answer
		_ = connection.SetDeadline(time.Now().Add(deadline))
		_, _ = io.WriteString(connection, "CONNECT 10.100.0.10:1 HTTP/1.1\r\n\r\n")
		_, err = http.ReadResponse(bufio.NewReader(connection), nil)
	}
	if err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("the error is %v", err)
	}
}

func TestAConnectionEndsWhenTheProxyStops(t *testing.T) {
	proxy, stop := start(t)
	connection := connect(t, proxy)
	response, reader := ask(t, connection, fmt.Sprintf("CONNECT 10.100.0.10:%d", pod(t)))
	if response.StatusCode != http.StatusOK {
		t.Fatal(response.Status)
	}
	stop()
	if _, err := reader.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the end of the proxy a read ends with %v", err)
	}
}
