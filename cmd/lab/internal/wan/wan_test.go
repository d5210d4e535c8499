package wan

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/labtest"
)

const deadline = 10 * time.Second

// neighbour is a cluster that serves its public name, and a client of it behind the link of another one.
func neighbour(t *testing.T, link *Link) (client *http.Client, endpoint string) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	t.Cleanup(server.Close)
	var names Names
	// What httptest's certificate is for.
	names.Set("example.com", netip.MustParseAddrPort(server.Listener.Addr().String()))
	proxy, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"), &names, link)
	if err != nil {
		t.Fatal(err)
	}
	labtest.Run(t, proxy.Serve)
	address, found := strings.CutPrefix(proxy.Environment()[0], "HTTPS_PROXY=")
	if !found {
		t.Fatalf("the environment is %v", proxy.Environment())
	}
	way, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	client = server.Client()
	client.Transport.(*http.Transport).Proxy = http.ProxyURL(way)
	client.Timeout = deadline
	return client, "https://example.com/"
}

func get(client *http.Client, url string) (string, error) {
	response, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func TestAPublicNameLeadsToItsCluster(t *testing.T) {
	client, endpoint := neighbour(t, &Link{})
	if body, err := get(client, endpoint); err != nil || body != "hello" {
		t.Errorf("got %q, %v", body, err)
	}
}

func TestWhatIsNoPublicNameIsRefusedWithTheReason(t *testing.T) {
	client, _ := neighbour(t, &Link{})
	for name, test := range map[string]struct{ url, want string }{
		"a name that no cluster has": {"https://example.org/", `the name "example.org"`},
		"another port":               {"https://example.com:8443/", "at port 443"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := get(client, test.url); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestACutLinkIsSilentAndARestoredOneDelivers(t *testing.T) {
	for name, open := range map[string]bool{"a new connection": false, "an open connection": true} {
		t.Run(name, func(t *testing.T) {
			link := &Link{}
			client, endpoint := neighbour(t, link)
			if open {
				if _, err := get(client, endpoint); err != nil {
					t.Fatal(err)
				}
			}
			link.Cut()
			link.Cut()
			impatient := *client
			impatient.Timeout = 100 * time.Millisecond
			var timeout net.Error
			if body, err := get(&impatient, endpoint); !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Fatalf("across the cut link came %q, %v", body, err)
			}
			answered := make(chan error, 1)
			go func() {
				body, err := get(client, endpoint)
				if err == nil && body != "hello" {
					err = errors.New("got " + body)
				}
				answered <- err
			}()
			link.Restore()
			if err := <-answered; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTheEndOfAConnectionDoesNotCrossACutLink(t *testing.T) {
	link := &Link{}
	ours, theirs := net.Pipe()
	_ = theirs.Close()
	link.Cut()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := link.Reader(ctx, ours).Read(make([]byte, 1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while the link is cut a read ends with %v", err)
	}
	link.Restore()
	if _, err := link.Reader(t.Context(), ours).Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("when the link is restored a read ends with %v", err)
	}
}

func TestWhatWaitsForACutLinkEndsWithTheLab(t *testing.T) {
	stopped := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	link := &Link{}
	link.Cut()
	cancel(stopped)
	if err := link.Wait(ctx); !errors.Is(err, stopped) {
		t.Errorf("waiting ends with %v", err)
	}
	if !link.IsCut() {
		t.Error("the link is not cut any more")
	}
	link.Restore()
	link.Restore()
	if err := link.Wait(ctx); err != nil || link.IsCut() {
		t.Errorf("waiting for a link that is up: %v", err)
	}
}
