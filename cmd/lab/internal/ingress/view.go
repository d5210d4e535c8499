package ingress

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/podnet"
)

// headerTimeout for a request to begin.
const headerTimeout = 10 * time.Second

// ViewOptions say what a View shows.
type ViewOptions struct {
	// Address to listen on.
	Address netip.AddrPort
	// APIServer is the URL of the API, CAFile the PEM file that its certificate verifies with.
	APIServer, CAFile string
	// Certificate is what the view proves itself with: no client sends its token without TLS.
	Certificate tls.Certificate
	Network     *podnet.Network
	// Hosts are the addresses, without port, that public names lead to.
	Hosts map[string]string
	// Nameless is the one of Hosts that gets connections which are passed through and name no host.
	Nameless string
}

// View is the cluster's API as somebody sees it who must reach the cluster's
// Pods and is reached by its public names: with the caller's own rights, and
// everything as it is, but that EndpointSlices have the addresses that Pods
// listen on, and Ingresses have rules for the addresses of public names.
type View struct {
	listener  net.Listener
	proxy     *httputil.ReverseProxy
	translate translator
	identity  *tls.Config
}

// ListenView opens the view; Serve serves it.
func ListenView(options ViewOptions) (*View, error) {
	target, err := url.Parse(options.APIServer)
	if err != nil {
		return nil, fmt.Errorf("open the ingress controller's view of the API: %w", err)
	}
	ca, err := os.ReadFile(options.CAFile)
	if err != nil {
		return nil, fmt.Errorf("open the ingress controller's view of the API: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	listener, err := net.Listen("tcp", options.Address.String())
	if err != nil {
		return nil, fmt.Errorf("open the ingress controller's view of the API: %w", err)
	}
	view := &View{
		listener:  listener,
		translate: translator{network: options.Network, hosts: options.Hosts, nameless: options.Nameless},
		identity:  &tls.Config{Certificates: []tls.Certificate{options.Certificate}, MinVersion: tls.VersionTLS12},
	}
	view.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			if isTranslated(r.Out) {
				// Only JSON is translated.
				r.Out.Header.Set("Accept", "application/json")
			}
		},
		Transport: &http.Transport{
			TLSClientConfig:    &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:  true,
			DisableCompression: true,
		},
		FlushInterval:  -1, // watches
		ModifyResponse: view.modify,
		// What fails is told to the caller.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	return view, nil
}

// URL of the view.
func (v *View) URL() string { return "https://" + v.listener.Addr().String() }

// Serve until the context ends, which also ends every watch.
func (v *View) Serve(ctx context.Context) error {
	server := &http.Server{
		Handler: v.proxy, TLSConfig: v.identity,
		ReadHeaderTimeout: headerTimeout, ErrorLog: log.New(io.Discard, "", 0),
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.ServeTLS(v.listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the ingress controller's view of the API: %w", err)
	}
	return nil
}

// isTranslated tells whether the answer may hold EndpointSlices or Ingresses.
func isTranslated(request *http.Request) bool {
	return request.Method == http.MethodGet && (strings.HasPrefix(request.URL.Path, "/apis/discovery.k8s.io/") ||
		strings.HasPrefix(request.URL.Path, "/apis/networking.k8s.io/"))
}

func (v *View) modify(response *http.Response) error {
	if !isTranslated(response.Request) || response.StatusCode != http.StatusOK {
		return nil
	}
	if watch, _ := strconv.ParseBool(response.Request.URL.Query().Get("watch")); watch {
		response.Body = newEvents(response.Body, v.translate)
		return nil
	}
	defer func() { _ = response.Body.Close() }()
	var object map[string]any
	if err := decoderOf(response.Body).Decode(&object); err != nil {
		return fmt.Errorf("read the API server's answer to GET %s: %w", response.Request.URL.Path, err)
	}
	v.translate.object(object)
	translated, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("translate the API server's answer to GET %s: %w", response.Request.URL.Path, err)
	}
	response.Body = io.NopCloser(bytes.NewReader(translated))
	response.ContentLength = int64(len(translated))
	response.Header.Set("Content-Length", strconv.Itoa(len(translated)))
	return nil
}

// events are those of a watch, translated as they come.
type events struct {
	source    io.ReadCloser
	decoder   *json.Decoder
	translate translator
	// pending is what of the last event has not been read.
	pending bytes.Buffer
}

func newEvents(source io.ReadCloser, translate translator) *events {
	return &events{source: source, decoder: decoderOf(source), translate: translate}
}

// Read waits for the next event when the last one has been read.
func (e *events) Read(into []byte) (int, error) {
	if e.pending.Len() == 0 {
		var event map[string]any
		if err := e.decoder.Decode(&event); err != nil {
			return 0, err
		}
		if object, ok := event["object"].(map[string]any); ok {
			e.translate.object(object)
		}
		if err := json.NewEncoder(&e.pending).Encode(event); err != nil {
			return 0, err
		}
	}
	return e.pending.Read(into)
}

// Close ends the watch.
func (e *events) Close() error { return e.source.Close() }

// decoderOf keeps numbers as they are.
func decoderOf(source io.Reader) *json.Decoder {
	decoder := json.NewDecoder(source)
	decoder.UseNumber()
	return decoder
}
