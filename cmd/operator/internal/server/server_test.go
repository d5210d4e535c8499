package server

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/deckhouse-mesh/istio/lib/program"
)

// freeAddress returns an unused address.
func freeAddress(g Gomega) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	defer listener.Close()
	return listener.Addr().String()
}

func get(g Gomega, address, path string) (int, string) {
	response, err := http.Get("http://" + address + path)
	g.Expect(err).NotTo(HaveOccurred())
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	g.Expect(err).NotTo(HaveOccurred())
	return response.StatusCode, string(body)
}

func TestHealthReadinessAndMetricsAreServedUntilStop(t *testing.T) {
	g := NewWithT(t)
	address := freeAddress(g)
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "a_metric 1") })
	server, err := Start(address, program.Handlers{"/metrics": metrics}, logger)
	g.Expect(err).NotTo(HaveOccurred())

	code, _ := get(g, address, "/healthz")
	g.Expect(code).To(Equal(http.StatusOK))
	code, body := get(g, address, "/readyz")
	g.Expect(code).To(Equal(http.StatusServiceUnavailable))
	g.Expect(body).To(Equal("starting\n"))
	server.SetReadiness(func() (bool, string) { return true, "standby" })
	code, body = get(g, address, "/readyz")
	g.Expect(code).To(Equal(http.StatusOK))
	g.Expect(body).To(Equal("standby\n"))
	_, body = get(g, address, "/metrics")
	g.Expect(body).To(Equal("a_metric 1"))
	code, _ = get(g, address, "/secrets")
	g.Expect(code).To(Equal(http.StatusNotFound))

	_, err = Start(address, nil, logger)
	g.Expect(err).To(MatchError(ContainSubstring("choose another --listen-address or --listen-port")))

	server.Stop()
	_, err = http.Get("http://" + address + "/healthz")
	g.Expect(err).To(HaveOccurred())
}
