//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/ca"
	"github.com/deckhouse-mesh/istio/test/mesh"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
)

// meshALPN is what Istio's proxies offer each other, and what gateways pass through.
const meshALPN = "istio"

// gatewayAddress is where peers reach the cluster's gateway.
func (c *cluster) gatewayAddress(t *testing.T) string {
	t.Helper()
	service, err := c.typed.CoreV1().Services(gateway.namespace).Get(context.Background(), gateway.name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ingress := service.Status.LoadBalancer.Ingress
	if len(ingress) != 1 || len(service.Spec.Ports) == 0 {
		t.Fatalf("the gateway of %s has the addresses %v", c.name, ingress)
	}
	for _, port := range service.Spec.Ports {
		if port.Name == "tls" {
			return net.JoinHostPort(ingress[0].IP, strconv.Itoa(int(port.Port)))
		}
	}
	t.Fatalf("the Service of the gateway of %s has no port tls", c.name)
	return ""
}

// gatewayCall is a call of a Service through the gateway by a program that is no proxy of Istio's.
type gatewayCall struct {
	// sni and alpn are what the gateway decides by.
	sni, alpn string
	// certificate that it shows; nil for none.
	certificate *tls.Certificate
}

// encounter is how a call ended.
type encounter struct {
	// server is the identity whose certificate the server has shown, which the
	// caller has not yet verified; empty when the handshake failed before that.
	server string
	answer answer
	err    error
}

// callHost is a call of the HTTP port of a Service.
func callHost(host string, certificate *tls.Certificate) gatewayCall {
	return gatewayCall{sni: mesh.PassthroughSNI(80, host), alpn: meshALPN, certificate: certificate}
}

// through the gateway at the address, on a connection of its own. The request is for HTTP.
func (c gatewayCall) through(address string) (met encounter) {
	configuration := &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: c.sni, NextProtos: []string{c.alpn},
		// Neither names nor system roots count in a mesh; tests look at the identity.
		InsecureSkipVerify: true,
		VerifyPeerCertificate: func(presented [][]byte, _ [][]*x509.Certificate) error {
			leaf, err := x509.ParseCertificate(presented[0])
			if err == nil && len(leaf.URIs) == 1 {
				met.server = leaf.URIs[0].String()
			}
			return err
		},
	}
	if c.certificate != nil {
		// Whatever authorities the server names.
		configuration.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.certificate, nil }
	}
	connection, err := (&tls.Dialer{NetDialer: &net.Dialer{Timeout: requestTimeout}, Config: configuration}).Dial("tcp", address)
	if err != nil {
		met.err = err
		return met
	}
	defer func() { _ = connection.Close() }()
	_ = connection.SetDeadline(time.Now().Add(requestTimeout))
	met.answer, met.err = ask(connection)
	return met
}

// ask for HTTP on a connection. With TLS 1.3 a caller learns only here that the server rejects it.
func ask(connection net.Conn) (answer, error) {
	if _, err := io.WriteString(connection, "GET / HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n"); err != nil {
		return answer{}, err
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	got := answer{status: response.StatusCode}
	for line := range strings.Lines(string(body)) {
		got.read(strings.TrimSpace(line))
	}
	return got, err
}

// accepted says what is missing for a call that a Pod of the server's identity has answered.
func (e encounter) accepted(caller, server, pod string) (missing string) {
	switch {
	case e.err != nil:
		return e.err.Error()
	case e.server != server || e.answer.status != http.StatusOK || e.answer.pod != pod || e.answer.caller != caller:
		return fmt.Sprintf("%q answers with %s", e.server, e.answer)
	}
	return ""
}

// rejected says what is missing for a call that the server, which has shown its own identity, has rejected.
func (e encounter) rejected(server string) (missing string) {
	switch {
	case e.err == nil:
		return "it is answered with " + e.answer.String()
	case e.server != server:
		return fmt.Sprintf("it fails before %s is met: %q, %v", server, e.server, e.err)
	}
	return ""
}

// passedOn reports whether the gateway passed the call on to any server.
func (e encounter) passedOn() bool { return e.server != "" }

// forge has an authority sign a certificate with these names, whatever they
// are: URIs, or with "DNS:" or "email:" before them names of that type.
func forge(t *testing.T, authority ca.Bundle, names ...string) *tls.Certificate {
	t.Helper()
	now := time.Now()
	forged := certtest.Load(authority.Cert, authority.Key).Leaf(now, certtest.Until(now.Add(workloadTTL)),
		certtest.For(x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth),
		func(template *x509.Certificate) {
			for _, name := range names {
				addName(t, template, name)
			}
		})
	return &forged
}

func addName(t *testing.T, template *x509.Certificate, name string) {
	t.Helper()
	if dns, ok := strings.CutPrefix(name, "DNS:"); ok {
		template.DNSNames = append(template.DNSNames, dns)
		return
	}
	if email, ok := strings.CutPrefix(name, "email:"); ok {
		template.EmailAddresses = append(template.EmailAddresses, email)
		return
	}
	identity, err := url.Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	template.URIs = append(template.URIs, identity)
}
