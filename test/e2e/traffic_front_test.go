//go:build e2e

package e2e

import (
	"io"
	"net/http"
	"testing"
)

// frontPort is where an application that calls another one listens.
const frontPort = 8191

// Headers of that application's answers: what it was asked by.
const (
	frontHost = "Front-Host"
	// frontCertificate has both identities of the connection to its sidecar, as Envoy writes them.
	frontCertificate = "Front-Certificate"
	frontForwarded   = "Front-Forwarded-For"
)

// tracingHeaders are what applications pass on from the requests they get to those they make.
var tracingHeaders = []string{"X-Request-Id", "X-B3-Traceid", "X-B3-Spanid", "X-B3-Parentspanid", "X-B3-Sampled"}

// runFront acts as an application that answers with what the one behind it answers, and passes tracing headers on.
func (i *insider) runFront(t *testing.T, behind string, headers ...string) {
	t.Helper()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent := headers
		for _, name := range tracingHeaders {
			if value := r.Header.Get(name); value != "" {
				sent = append(sent, name+": "+value)
			}
		}
		w.Header().Set(frontHost, r.Host)
		w.Header().Set(frontCertificate, r.Header.Get("X-Forwarded-Client-Cert"))
		w.Header().Set(frontForwarded, r.Header.Get("X-Forwarded-For"))
		got, err := i.get(behind, sent...)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.WriteHeader(got.status)
		_, _ = io.WriteString(w, got.text)
	})}
	listener := i.listen(t, frontPort)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
}
