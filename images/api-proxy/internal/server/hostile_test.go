package server_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

// dial opens a TLS connection for raw bytes.
func (p *proxy) dial(t *testing.T, protocols ...string) *tls.Conn {
	t.Helper()
	dialer := tls.Dialer{Config: p.tlsConfig(protocols...)}
	connection, err := dialer.DialContext(t.Context(), "tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	if err := connection.SetDeadline(time.Now().Add(3 * peerstest.Deadline)); err != nil {
		t.Fatal(err)
	}
	return connection.(*tls.Conn)
}

// TestMalformedRequestsAreRejected writes request heads byte by byte as no library would.
func TestMalformedRequestsAreRejected(t *testing.T) {
	p := start(t, setup{})
	authorization := "Authorization: Bearer " + p.b.Token(t, here, authn.ScopeAPI) + "\r\n"
	host := "Host: " + p.address + "\r\n"
	head := func(line string, headers ...string) string {
		return line + "\r\n" + host + authorization + strings.Join(headers, "") + "\r\n"
	}
	for name, test := range map[string]struct {
		raw     string
		arrives bool
	}{
		"a plain request":                       {head("GET /api/v1/pods HTTP/1.1"), true},
		"an absolute URL":                       {head("GET https://10.0.0.1:6443/api/v1/pods HTTP/1.1"), false},
		"an absolute URL of this host":          {head("GET https://" + p.address + "/api/v1/pods HTTP/1.1"), false},
		"an absolute URL without a host":        {head("GET file:///api/v1/pods HTTP/1.1"), false},
		"a target without a slash":              {head("GET api/v1/pods HTTP/1.1"), false},
		"two slashes":                           {head("GET //api/v1/pods HTTP/1.1"), false},
		"a host between slashes":                {head("GET //10.0.0.1/api/v1/pods HTTP/1.1"), false},
		"dots":                                  {head("GET /api/v1/pods/../secrets HTTP/1.1"), false},
		"escaped dots":                          {head("GET /api/v1/namespaces/x/pods/%2e%2e/secrets HTTP/1.1"), false},
		"an escaped slash":                      {head("GET /api/v1/namespaces/x/pods/y%2flog HTTP/1.1"), false},
		"an escaped question mark":              {head("GET /api/v1/pods%3fwatch=true HTTP/1.1"), false},
		"a backslash":                           {head(`GET /api\v1\secrets HTTP/1.1`), false},
		"a fragment":                            {head("GET /api/v1/pods#/../secrets HTTP/1.1"), false},
		"CONNECT":                               {head("CONNECT 10.0.0.1:6443 HTTP/1.1"), false},
		"CONNECT to a path":                     {head("CONNECT /api/v1/pods HTTP/1.1"), false},
		"OPTIONS for all":                       {head("OPTIONS * HTTP/1.1"), false},
		"PRI, the preface of HTTP/2":            {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", false},
		"an upgrade to websockets":              {head("GET /api/v1/pods HTTP/1.1", "Connection: Upgrade\r\n", "Upgrade: websocket\r\n"), false},
		"an upgrade to SPDY":                    {head("POST /api/v1/namespaces/x/pods/y/exec?command=sh HTTP/1.1", "Connection: Upgrade\r\n", "Upgrade: SPDY/3.1\r\n"), false},
		"an upgrade to HTTP/2":                  {head("GET /api/v1/pods HTTP/1.1", "Connection: Upgrade, HTTP2-Settings\r\n", "Upgrade: h2c\r\n", "HTTP2-Settings: AAMAAABkAAQAAP__\r\n"), false},
		"an upgrade to no protocol":             {head("GET /api/v1/pods HTTP/1.1", "Connection: keep-alive, upgrade\r\n"), false},
		"both lengths of a body":                {head("POST /apis/authentication.k8s.io/v1/tokenreviews HTTP/1.1", "Content-Type: application/json\r\n", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n") + "0\r\n\r\nGET /api/v1/secrets HTTP/1.1\r\n\r\n", false},
		"two lengths":                           {head("POST /apis/authentication.k8s.io/v1/tokenreviews HTTP/1.1", "Content-Type: application/json\r\n", "Content-Length: 2\r\n", "Content-Length: 40\r\n") + "{}", false},
		"a negative length":                     {head("POST /apis/authentication.k8s.io/v1/tokenreviews HTTP/1.1", "Content-Length: -1\r\n"), false},
		"a length with a sign":                  {head("POST /apis/authentication.k8s.io/v1/tokenreviews HTTP/1.1", "Content-Length: +2\r\n") + "{}", false},
		"a strange transfer encoding":           {head("POST /apis/authentication.k8s.io/v1/tokenreviews HTTP/1.1", "Content-Type: application/json\r\n", "Transfer-Encoding: xchunked\r\n") + "2\r\n{}\r\n0\r\n\r\n", false},
		"chunked, spelled with a tab":           {head("POST /apis/authentication.k8s.io/v1/tokenreviews HTTP/1.1", "Content-Type: application/json\r\n", "Transfer-Encoding: \tchunked, identity\r\n") + "2\r\n{}\r\n0\r\n\r\n", false},
		"a chunk that lies":                     {head("POST /apis/authentication.k8s.io/v1/tokenreviews HTTP/1.1", "Content-Type: application/json\r\n", "Transfer-Encoding: chunked\r\n") + "-2\r\n{}\r\n0\r\n\r\n", false},
		"reading with a body":                   {head("GET /api/v1/pods HTTP/1.1", "Content-Length: 30\r\n") + "GET /api/v1/secrets HTTP/1.1\r\n", false},
		"chunks":                                {head("POST /apis/authentication.k8s.io/v1/tokenreviews HTTP/1.1", "Content-Type: application/json\r\n", "Transfer-Encoding: chunked\r\n") + "2\r\n{}\r\n0\r\n\r\n", false},
		"reading with chunks":                   {head("GET /api/v1/pods HTTP/1.1", "Transfer-Encoding: chunked\r\n") + "0\r\n\r\n", false},
		"a space before the colon":              {head("GET /api/v1/pods HTTP/1.1", "Impersonate-User : admin\r\n"), false},
		"a folded header":                       {head("GET /api/v1/pods HTTP/1.1", "X: a\r\n Impersonate-User: admin\r\n"), true},
		"a NUL in a header":                     {head("GET /api/v1/pods HTTP/1.1", "X: a\x00b\r\n"), false},
		"a bare line break in a header":         {head("GET /api/v1/pods HTTP/1.1", "Accept: a\rImpersonate-User: admin\r\n"), false},
		"no Host":                               {"GET /api/v1/pods HTTP/1.1\r\n" + authorization + "\r\n", false},
		"two Hosts":                             {head("GET /api/v1/pods HTTP/1.1", "Host: kubernetes\r\n"), false},
		"two Authorizations":                    {head("GET /api/v1/pods HTTP/1.1", "Authorization: Bearer x\r\n"), false},
		"HTTP/0.9":                              {"GET /api/v1/pods\r\n", false},
		"HTTP/9.9":                              {head("GET /api/v1/pods HTTP/9.9"), false},
		"a header larger than allowed":          {head("GET /api/v1/pods HTTP/1.1", "X: "+strings.Repeat("a", 32<<10)+"\r\n"), false},
		"a thousand headers":                    {head("GET /api/v1/pods HTTP/1.1", strings.Repeat("X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", 1000)), false},
		"a target larger than allowed":          {head("GET /api/v1/pods?labelSelector=" + strings.Repeat("a", 8<<10) + " HTTP/1.1"), false},
		"a review that waits to be asked for":   {head("POST /apis/authentication.k8s.io/v1/tokenreviews HTTP/1.1", "Content-Type: application/json\r\n", "Content-Length: 2\r\n", "Expect: 100-continue\r\n") + "{}", true},
		"expecting something else":              {head("POST /apis/authentication.k8s.io/v1/tokenreviews HTTP/1.1", "Content-Type: application/json\r\n", "Content-Length: 2\r\n", "Expect: 200-ok\r\n") + "{}", false},
		"reading that expects to be asked":      {head("GET /api/v1/pods HTTP/1.1", "Expect: 100-continue\r\n"), true},
		"a trailer that makes one someone else": {head("POST /apis/authentication.k8s.io/v1/tokenreviews HTTP/1.1", "Content-Type: application/json\r\n", "Trailer: Impersonate-User\r\n", "Transfer-Encoding: chunked\r\n") + "2\r\n{}\r\n0\r\nImpersonate-User: admin\r\n\r\n", false},
		"no TLS inside of TLS, but TLS inside":  {"\x16\x03\x01\x02\x00\x01\x00", false},
	} {
		t.Run(name, func(t *testing.T) {
			connection := p.dial(t, "http/1.1")
			if _, err := io.WriteString(connection, test.raw); err != nil {
				t.Fatal(err)
			}
			if !test.arrives { // nothing more is sent; a caller that disconnects gets no answer
				if err := connection.CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			code, err := finalCode(bufio.NewReader(connection))
			got := p.backend.take()
			if (len(got) > 0) != test.arrives {
				t.Fatalf("arrived %v, answered %d", got, code)
			}
			if !test.arrives && code < 400 && err == nil {
				t.Errorf("answered %d", code)
			}
			for _, each := range got {
				if each.header.Get("Impersonate-User") != "" || strings.Contains(each.target, "secret") || len(got) != 1 {
					t.Errorf("arrived %+v", got)
				}
			}
		})
	}
}

// finalCode is that of the first answer that is not merely a 100.
func finalCode(reader *bufio.Reader) (int, error) {
	for {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			return 0, err
		}
		response.Body.Close()
		if response.StatusCode >= 200 {
			return response.StatusCode, nil
		}
	}
}

// TestPlainHTTPIsNotAnswered: the listener speaks TLS only.
func TestPlainHTTPIsNotAnswered(t *testing.T) {
	p := start(t, setup{})
	connection, err := (&net.Dialer{Timeout: peerstest.Deadline}).DialContext(t.Context(), "tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(peerstest.Deadline))
	_, _ = io.WriteString(connection, "GET /api/v1/pods HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+p.b.Token(t, here, authn.ScopeAPI)+"\r\n\r\n")
	answer, _ := io.ReadAll(connection)
	if strings.Contains(string(answer), " 200 ") || len(p.backend.take()) > 0 {
		t.Errorf("answered %q", answer)
	}
}

// TestInvalidPseudoHeadersAreRejected sends HEADERS frames of HTTP/2 that no library would.
func TestInvalidPseudoHeadersAreRejected(t *testing.T) {
	p := start(t, setup{})
	token := "Bearer " + p.b.Token(t, here, authn.ScopeAPI)
	type field = hpack.HeaderField
	good := []field{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: "kubernetes"}, {Name: ":path", Value: "/api/v1/pods"}}
	with := func(name, value string) []field {
		var fields []field
		for _, each := range good {
			if each.Name == name {
				each.Value = value
			}
			fields = append(fields, each)
		}
		return fields
	}
	plus := func(name, value string) []field {
		return append(append([]field{}, good...), field{Name: name, Value: value})
	}
	for name, test := range map[string]struct {
		fields  []field
		arrives bool
	}{
		"a plain request":            {good, true},
		"another authority":          {with(":authority", "10.0.0.1:6443"), true}, // the proxy asks its own API server anyway
		"an absolute URL":            {with(":path", "https://10.0.0.1/api/v1/pods"), false},
		"no slash":                   {with(":path", "api/v1/pods"), false},
		"two slashes":                {with(":path", "//10.0.0.1/api/v1/pods"), false},
		"an empty path":              {with(":path", ""), false},
		"an asterisk":                {with(":path", "*"), false},
		"a line break in the path":   {with(":path", "/api/v1/pods HTTP/1.1\r\nImpersonate-User: admin\r\nX: "), false},
		"a space in the path":        {with(":path", "/api/v1/pods /secrets"), false},
		"a line break in the method": {with(":method", "GET /api/v1/secrets HTTP/1.1\r\nX: "), false},
		"another scheme":             {with(":scheme", "file"), false},
		"two paths":                  {plus(":path", "/api/v1/secrets"), false},
		"two methods":                {plus(":method", "DELETE"), false},
		"an unknown pseudo-header":   {plus(":remote-user", "admin"), false},
		"extended CONNECT":           {append(with(":method", "CONNECT"), field{Name: ":protocol", Value: "websocket"}), false},
		"CONNECT":                    {[]field{{Name: ":method", Value: "CONNECT"}, {Name: ":authority", Value: "10.0.0.1:6443"}}, false},
		"a Connection header":        {plus("connection", "upgrade"), false},
		"a Transfer-Encoding":        {plus("transfer-encoding", "chunked"), false},
		"an Upgrade header":          {plus("upgrade", "websocket"), false},
		"capitals":                   {plus("Impersonate-User", "admin"), false},
		"a length that lies":         {plus("content-length", "10"), false},
	} {
		t.Run(name, func(t *testing.T) {
			connection := p.dial(t, "h2")
			code, err := askFrames(connection, append(append([]hpack.HeaderField{}, test.fields...), field{Name: "authorization", Value: token}))
			got := p.backend.take()
			if (len(got) > 0) != test.arrives {
				t.Fatalf("arrived %v, answered %s %v", got, code, err)
			}
			if !test.arrives && strings.HasPrefix(code, "2") {
				t.Errorf("answered %s", code)
			}
			for _, each := range got {
				if each.target != "/api/v1/pods" || each.method != http.MethodGet || each.header.Get("Impersonate-User") != "" {
					t.Errorf("arrived %+v", each)
				}
			}
		})
	}
}

// askFrames sends one HEADERS frame and returns :status, or how the stream or the connection ended.
func askFrames(connection net.Conn, fields []hpack.HeaderField) (status string, err error) {
	if _, err := io.WriteString(connection, http2.ClientPreface); err != nil {
		return "", err
	}
	framer := http2.NewFramer(connection, connection)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := framer.WriteSettings(); err != nil {
		return "", err
	}
	var block strings.Builder
	encoder := hpack.NewEncoder(&block)
	for _, each := range fields {
		if err := encoder.WriteField(each); err != nil {
			return "", err
		}
	}
	if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte(block.String()), EndStream: true, EndHeaders: true}); err != nil {
		return "", err
	}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return "", err
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			return frame.PseudoValue("status"), nil
		case *http2.RSTStreamFrame:
			return "", fmt.Errorf("the stream was reset: %s", frame.ErrCode)
		case *http2.GoAwayFrame:
			if frame.ErrCode != http2.ErrCodeNo {
				return "", fmt.Errorf("the connection was ended: %s", frame.ErrCode)
			}
		}
	}
}

// TestASlowCallerIsCutOff: an unfinished head, or a body that never arrives, do
// not keep a connection.
func TestASlowCallerIsCutOff(t *testing.T) {
	p := start(t, setup{})
	authorization := "Authorization: Bearer " + p.b.Token(t, here, authn.ScopeAPI) + "\r\n"
	for name, raw := range map[string]string{
		"half a head": "GET /api/v1/pods HTTP/1.1\r\nHost: x\r\n",
		"half a body": "POST /apis/authentication.k8s.io/v1/tokenreviews HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" +
			authorization + "Content-Length: 100\r\n\r\n{",
		"half a body of a rejected request": "POST /api/v1/namespaces/x/pods/y/exec HTTP/1.1\r\nHost: x\r\n" + authorization + "Content-Length: 100\r\n\r\n{",
		"half a body without proof":         "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			connection := p.dial(t, "http/1.1")
			if _, err := io.WriteString(connection, raw); err != nil {
				t.Fatal(err)
			}
			// The deadline of the connection fails the test if the proxy keeps it.
			answer, err := io.ReadAll(connection)
			if errors.Is(err, os.ErrDeadlineExceeded) || strings.Contains(string(answer), " 200 ") {
				t.Errorf("answered %q, %v", answer, err)
			}
		})
	}
	t.Cleanup(func() {
		if got := p.backend.take(); len(got) > 0 {
			t.Errorf("arrived %v", got)
		}
	})
}

func TestReviewsHaveABoundedBody(t *testing.T) {
	p := start(t, setup{})
	client := p.client(t, true)
	for name, test := range map[string]struct {
		contentType, encoding string
		size, want            int
	}{
		"JSON":               {"application/json", "", 100, 200},
		"JSON, as UTF-8":     {"application/json; charset=utf-8", "", 100, 200},
		"protobuf":           {"application/vnd.kubernetes.protobuf", "", 100, 200},
		"as large as can be": {"application/json", "", 64 << 10, 200},
		"too large":          {"application/json", "", 64<<10 + 1, 413},
		"YAML":               {"application/yaml", "", 100, 415},
		"a patch":            {"application/apply-patch+yaml", "", 100, 415},
		"no type":            {"", "", 100, 415},
		"gzip":               {"application/json", "gzip", 100, 415},
	} {
		t.Run(name, func(t *testing.T) {
			r := p.request(t, http.MethodPost, "/apis/authentication.k8s.io/v1/tokenreviews", strings.Repeat("x", test.size))
			r.Header.Set("Content-Type", test.contentType)
			r.Header.Set("Content-Encoding", test.encoding)
			response, body := do(t, client, r)
			got := p.backend.take()
			if response.StatusCode != test.want || (len(got) == 1) != (test.want == 200) {
				t.Fatalf("%d %s, arrived %d", response.StatusCode, body, len(got))
			}
			if len(got) == 1 && len(got[0].body) != test.size {
				t.Errorf("%d bytes arrived", len(got[0].body))
			}
		})
	}
}
