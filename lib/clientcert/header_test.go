package clientcert_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/deckhouse-mesh/istio/lib/clientcert"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
)

// escaped encodes as nginx does for $ssl_client_escaped_cert: all but unreserved characters.
func escaped(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}

func TestTheHeaderIsParsedStrictly(t *testing.T) {
	root := certtest.NewRoot("Istio CA", now)
	leaf := root.Client(now)
	text := certtest.PEM(leaf.Certificate...)
	long := strings.Repeat(text, clientcert.MaxChainLength+1)
	for name, test := range map[string]struct {
		value string
		want  error
		count int
	}{
		"a certificate as nginx writes it":    {escaped(text), nil, 1},
		"base64 with a bare plus":             {strings.ReplaceAll(escaped(text), "%2B", "+"), nil, 1},
		"a certificate and its intermediates": {escaped(text + root.PEM()), nil, 2},
		"nothing":                             {"", clientcert.ErrMissing, 0},
		"spaces only":                         {"%20", clientcert.ErrMalformed, 0},
		"half an escape":                      {escaped(text) + "%2", clientcert.ErrMalformed, 0},
		"an escape that is none":              {"%zz", clientcert.ErrMalformed, 0},
		"a key":                               {escaped(certtest.KeyPEM(leaf.PrivateKey)), clientcert.ErrMalformed, 0},
		"a key after the certificate":         {escaped(text + certtest.KeyPEM(leaf.PrivateKey)), clientcert.ErrMalformed, 0},
		"words before the certificate":        {escaped("words\n" + text), clientcert.ErrMalformed, 0},
		"words after the certificate":         {escaped(text + "words"), clientcert.ErrMalformed, 0},
		"a cut certificate":                   {escaped(text[:len(text)/2]), clientcert.ErrMalformed, 0},
		"PEM headers":                         {escaped(strings.Replace(text, "-----\n", "-----\na: b\n\n", 1)), clientcert.ErrMalformed, 0},
		"base64 of no certificate":            {escaped("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), clientcert.ErrMalformed, 0},
		"too many certificates":               {escaped(long), clientcert.ErrMalformed, 0},
		"too many bytes":                      {strings.Repeat("A", 1<<20), clientcert.ErrMalformed, 0},
	} {
		t.Run(name, func(t *testing.T) {
			chain, err := clientcert.ParseHeader(test.value)
			if !errors.Is(err, test.want) || len(chain) != test.count {
				t.Errorf("ParseHeader() = %d certificates, %v; want %d, %v", len(chain), err, test.count, test.want)
			}
		})
	}
}

func FuzzParseHeader(f *testing.F) {
	root := certtest.NewRoot("Istio CA", now)
	anchors := &clientcert.Anchors{}
	anchors.Add(root.Certificate, "b")
	good := escaped(certtest.PEM(root.Client(now).Certificate...))
	stranger := escaped(certtest.PEM(certtest.NewRoot("Istio CA", now).Client(now).Certificate...))
	for _, seed := range []string{"", "%", "%2", "%0A", good, good + good, stranger, good[:len(good)/2], escaped(root.PEM()), escaped("-----BEGIN CERTIFICATE-----\n")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		chain, err := clientcert.ParseHeader(value)
		if (err == nil) != (len(chain) > 0) {
			t.Fatalf("%d certificates, %v", len(chain), err)
		}
		if err != nil && !errors.Is(err, clientcert.ErrMissing) && !errors.Is(err, clientcert.ErrMalformed) {
			t.Fatalf("an error nobody expects: %v", err)
		}
		// Only the certificate that the root has signed may ever pass.
		if _, err := anchors.Verify(chain, now); err == nil && chain[0].CheckSignatureFrom(root.Certificate) != nil {
			t.Fatal("a certificate passed that the root has not signed")
		}
	})
}
