package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
	"github.com/deckhouse-mesh/istio/test/support/exportertest"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

// nginxConfig is the configuration that ingress-nginx makes of an Ingress: with AuthTLS of the
// annotations auth-tls-secret, auth-tls-verify-client: optional_no_ca,
// auth-tls-verify-depth and auth-tls-pass-certificate-to-upstream, with ProxySSL
// of proxy-ssl-secret, and always of backend-protocol: HTTPS.
var nginxConfig = template.Must(template.New("nginx.conf").Parse(`
daemon off;
master_process off;
pid {{ .Dir }}/nginx.pid;
error_log {{ .Dir }}/error.log info;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path {{ .Dir }}/body;
  proxy_temp_path {{ .Dir }}/proxy;
  fastcgi_temp_path {{ .Dir }}/fastcgi;
  uwsgi_temp_path {{ .Dir }}/uwsgi;
  scgi_temp_path {{ .Dir }}/scgi;
  upstream exporter { server {{ .Upstream }}; keepalive 8; }
  server {
    listen unix:{{ .Dir }}/https.sock ssl http2;
    server_name _;
    ssl_certificate {{ .Dir }}/tls.crt;
    ssl_certificate_key {{ .Dir }}/tls.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    {{- if .AuthTLS }}
    ssl_client_certificate {{ .Dir }}/ingress-ca.crt;
    ssl_verify_client optional_no_ca;
    ssl_verify_depth 8;
    {{- end }}
    location /metadata/ {
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      {{- if .AuthTLS }}
      proxy_set_header ssl-client-verify $ssl_client_verify;
      proxy_set_header ssl-client-subject-dn $ssl_client_s_dn;
      proxy_set_header ssl-client-issuer-dn $ssl_client_i_dn;
      proxy_set_header ssl-client-cert $ssl_client_escaped_cert;
      {{- end }}
      {{- if .ProxySSL }}
      proxy_ssl_certificate {{ .Dir }}/ingress.crt;
      proxy_ssl_certificate_key {{ .Dir }}/ingress.key;
      {{- end }}
      proxy_ssl_server_name on;
      proxy_read_timeout 75s;
      proxy_pass https://exporter;
    }
  }
}
`))

// nginx is a real nginx in front of an exporter.
type nginx struct {
	*exporter
	dir string
}

// startNginx runs nginx as ingress-nginx would configure it. It listens on a
// Unix socket, so tests need no port. ssl_certificate is the exporter's own.
func startNginx(t *testing.T, e *exporter, authTLS, proxySSL bool) nginx {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("nginx is not installed (Debian: apt-get install nginx-light): what it passes on is not tested")
	}
	dir, err := os.MkdirTemp("", "nginx") // the path of a Unix socket is short
	e.check(err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	file := func(name, text string) { e.check(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)) }
	certificate, key := exportertest.CertificatePEM(t, "istio.example.com", false)
	ingress := e.ingress.Client(time.Now(), func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "ingress"} })
	file("tls.crt", certificate)
	file("tls.key", key)
	file("ingress-ca.crt", e.ingress.PEM())
	file("ingress.crt", certtest.PEM(ingress.Certificate...))
	file("ingress.key", certtest.KeyPEM(ingress.PrivateKey))
	var config bytes.Buffer
	e.check(nginxConfig.Execute(&config, map[string]any{
		"Dir": dir, "Upstream": strings.TrimSuffix(strings.TrimPrefix(e.url, "https://"), "/metadata/"), "AuthTLS": authTLS, "ProxySSL": proxySSL,
	}))
	file("nginx.conf", config.String())

	ctx, cancel := context.WithCancel(context.Background())
	process := exec.CommandContext(ctx, program, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"))
	var output bytes.Buffer
	process.Stdout, process.Stderr = &output, &output
	e.check(process.Start())
	ended := make(chan struct{})
	go func() {
		_ = process.Wait() // it is killed in the end
		close(ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	peerstest.Await(t, func() string {
		select {
		case <-ended:
			log, _ := os.ReadFile(filepath.Join(dir, "error.log"))
			t.Fatalf("nginx ended: %s\n%s", output.String(), log)
		default:
		}
		connection, err := net.Dial("unix", filepath.Join(dir, "https.sock"))
		if err != nil {
			return "nginx does not listen: " + err.Error()
		}
		return closing(connection)
	})
	front := *e
	front.certificate = certificate
	front.url = "https://istio.example.com/metadata/"
	return nginx{&front, dir}
}

func closing(connection net.Conn) string {
	if err := connection.Close(); err != nil {
		return err.Error()
	}
	return ""
}

// as is nginx asked by a caller with this certificate.
func (n nginx) as(certificate *tls.Certificate) *exporter {
	caller := n.exporter.as(certificate)
	transport := caller.client.Transport.(*http.Transport)
	transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if certificate == nil {
			return &tls.Certificate{}, nil
		}
		return certificate, nil // whatever authorities nginx names
	}
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(n.dir, "https.sock"))
	}
	return caller
}

func TestBehindNginxACertificateIsAcceptedAsNginxForwardsIt(t *testing.T) {
	e := start(t)
	front := startNginx(t, e, true, true)
	now := time.Now()
	federated, multicluster, stranger := e.federated.Root.Client(now), e.multicluster.Root.Client(now), e.unrelated.Root.Client(now)
	workload := e.federated.Root.Client(now, func(c *x509.Certificate) { c.Subject = pkix.Name{} })
	servers := e.federated.Root.Client(now, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	ended := e.federated.Root.Client(now, func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Hour) })
	below := e.federated.Root.Intermediate("middle", now).Client(now)
	controller := e.ingress.Client(now)
	token := bearer(e.federated.Token(t, e.own.UUID, authn.ScopePrivateFederation))

	for name, test := range map[string]struct {
		caller *tls.Certificate
		path   string
		header []string
		want   int
	}{
		"a federation peer reads federation.json":                      {&federated, metadata.FederationPath, nil, 200},
		"a multicluster peer reads multicluster.json":                  {&multicluster, metadata.MulticlusterPath, nil, 200},
		"a federation peer does not read multicluster.json":            {&federated, metadata.MulticlusterPath, nil, 401},
		"an unknown caller reads nothing":                              {&stranger, metadata.FederationPath, nil, 401},
		"a peer's workload reads nothing":                              {&workload, metadata.FederationPath, nil, 401},
		"a caller without proof reads nothing":                         {nil, metadata.FederationPath, nil, 401},
		"anyone reads the public document":                             {nil, metadata.PublicPath, nil, 200},
		"a forged header is removed":                                   {nil, metadata.FederationPath, header(federated), 401},
		"a forged header is replaced by the stranger's certificate":    {&stranger, metadata.FederationPath, header(federated), 401},
		"a forged header of another spelling is none":                  {nil, metadata.FederationPath, []string{"Ssl_client_cert", escaped(federated)}, 401},
		"the controller's own certificate proves no peer":              {&controller, metadata.FederationPath, nil, 401},
		"a token does without a certificate":                           {nil, metadata.FederationPath, token, 200},
		"a token is enough beside an unknown certificate":              {&stranger, metadata.FederationPath, token, 200},
		"a certificate does beside rubbish for a token":                {&federated, metadata.FederationPath, bearer("rubbish"), 200},
		"nginx passes no intermediates on, so the certificate is lost": {&below, metadata.FederationPath, nil, 401},
		"but the request is not, so the token still does":              {&below, metadata.FederationPath, token, 200},
		"a certificate for servers proves nothing":                     {&servers, metadata.FederationPath, nil, 401},
		"a token does beside a certificate for servers":                {&servers, metadata.FederationPath, token, 200},
		"nginx rejects all requests with a certificate that has ended": {&ended, metadata.FederationPath, token, 400}, // lib/peer shows none such
	} {
		t.Run(name, func(t *testing.T) {
			got := front.as(test.caller).ask(http.MethodGet, test.path, test.header...)
			if got.code != test.want {
				t.Errorf("got %d %s, want %d", got.code, got.body, test.want)
			}
		})
	}
}

// TestTheHeaderOfAnUnprovenControllerIsIgnored is the Ingress without annotations for client certificates.
func TestTheHeaderOfAnUnprovenControllerIsIgnored(t *testing.T) {
	e := start(t)
	front := startNginx(t, e, false, false)
	pair := e.federated.Root.Client(time.Now())
	if got := front.as(&pair).ask(http.MethodGet, metadata.FederationPath, header(pair)...); got.code != http.StatusUnauthorized {
		t.Errorf("by header: %d %s", got.code, got.body)
	}
	if got := front.as(&pair).ask(http.MethodGet, metadata.FederationPath, bearer(e.federated.Token(t, e.own.UUID, authn.ScopePrivateFederation))...); got.code != http.StatusOK {
		t.Errorf("by token: %d %s", got.code, got.body)
	}
}

func TestBehindNginxOneConnectionServesCallersWithoutMixingThemUp(t *testing.T) {
	e := start(t)
	front := startNginx(t, e, true, true)
	federated, stranger := e.federated.Root.Client(time.Now()), e.unrelated.Root.Client(time.Now())
	known, unknown := front.as(&federated), front.as(&stranger)
	for round := range 20 { // nginx keeps its connections to the exporter
		if got := known.ask(http.MethodGet, metadata.FederationPath); got.code != http.StatusOK {
			t.Fatal(round, got)
		}
		if got := unknown.ask(http.MethodGet, metadata.FederationPath); got.code != http.StatusUnauthorized {
			t.Fatal(round, got)
		}
	}
}

func TestBehindNginxALongPollIsHeldByCertificate(t *testing.T) {
	e := start(t)
	pair := e.federated.Root.Client(time.Now())
	caller := startNginx(t, e, true, true).as(&pair)
	held := caller.hold(1, metadata.FederationPath, "If-None-Match", e.documents.Federation.Current().ETag, "Prefer", "wait=50")
	e.publish("web")
	if got := caller.receive(held); got.code != http.StatusOK || !strings.Contains(got.body, "web.shop") || got.header.Get("Preference-Applied") != "wait=50" {
		t.Errorf("got %s", fmt.Sprint(got))
	}
}
