package certs_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/certs"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestParseIsStrict(t *testing.T) {
	root := certtest.NewRoot("root", now)
	one, key := root.PEM(), root.KeyPEM()
	glued := strings.TrimSuffix(one, "\n") + one
	for name, test := range map[string]struct {
		text  string
		rules certs.Rules
		want  string
		count int
	}{
		"one certificate is read":                          {text: one, count: 1},
		"two certificates are read":                        {text: one + one, count: 2},
		"white space around certificates is ignored":       {text: " \n" + one + "\n\n" + one + " \n\t", count: 2},
		"Windows' line ends are read":                      {text: strings.ReplaceAll(one+one, "\n", "\r\n"), count: 2},
		"a last line without a newline is read":            {text: strings.TrimSuffix(one, "\n"), count: 1},
		"words before certificates are skipped":            {text: "# Subject: CN=root\n" + one + "Certificate:\n    Data:\n" + one, count: 2},
		"an empty text is rejected":                        {text: " \n", want: "holds no PEM certificate"},
		"a text without PEM is rejected":                   {text: "words", want: "holds no PEM certificate"},
		"words behind the last certificate are rejected":   {text: one + "words", want: "something that is not PEM follows certificate 1"},
		"certificates without a newline between them":      {text: glued, want: "certificate 1: something follows on the line of its END: put a newline"},
		"such certificates behind a sound one":             {text: one + glued, want: "certificate 2: something follows"},
		"such certificates before a sound one":             {text: glued + one, want: "certificate 1: something follows"},
		"a certificate that begins within a line":          {text: "words " + one, want: "its BEGIN does not begin a line"},
		"a private key among certificates is rejected":     {text: one + key, want: `holds a PEM block of type "PRIVATE KEY"`},
		"a private key before certificates is rejected":    {text: key + one, want: `holds a PEM block of type "PRIVATE KEY"`},
		"a certificate that is cut off is rejected":        {text: one[:len(one)/2], want: "certificate 1: its PEM block is broken or not complete"},
		"a sound one behind one that is cut off":           {text: one[:len(one)/2] + "\n" + one, want: "broken or not complete"},
		"an END without a BEGIN is rejected":               {text: "-----END CERTIFICATE-----\n" + one, want: "does not begin a line"},
		"headers are rejected":                             {text: strings.Replace(one, "-----\n", "-----\na: b\n\n", 1), want: "has headers"},
		"base64 of no certificate is rejected":             {text: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", want: "certificate 1 cannot be read"},
		"as many certificates as the rules allow":          {text: one + one, rules: certs.Rules{MaxCount: 2}, count: 2},
		"more certificates than the rules allow":           {text: one + one, rules: certs.Rules{MaxCount: 1}, want: "holds more than 1 certificates"},
		"a larger certificate than the rules allow":        {text: one, rules: certs.Rules{MaxBytes: 100}, want: "more than 100"},
		"more bytes together than the rules allow":         {text: one + one, rules: certs.Rules{MaxTotalBytes: 600}, want: "more than 600"},
		"words before a certificate that rules forbid":     {text: "words\n" + one, rules: certs.Rules{NoWords: true}, want: "other text stands before it"},
		"words between certificates that rules forbid":     {text: one + "words\n" + one, rules: certs.Rules{NoWords: true}, want: "other text stands before it"},
		"white space where the rules forbid words is fine": {text: "\n" + one + "\n" + one, rules: certs.Rules{NoWords: true}, count: 2},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := test.rules.Parse(test.text)
			if test.want == "" && err != nil {
				t.Fatal(err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Fatalf("error %v, want one that says %q", err, test.want)
			}
			if len(found) != test.count {
				t.Errorf("%d certificates, want %d", len(found), test.count)
			}
		})
	}
}

func TestSalvageReadsWhatCanBeRead(t *testing.T) {
	root, other := certtest.NewRoot("root", now), certtest.NewRoot("other", now)
	text := root.PEM() + "words\n" + root.KeyPEM() + root.PEM() + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + other.PEM() + "words"
	found := certs.Salvage(text)
	if len(found) != 2 || !found[0].Equal(root.Certificate) || !found[1].Equal(other.Certificate) {
		t.Errorf("found %d certificates, want two", len(found))
	}
}

func TestEncodedCertificatesAreReadAgain(t *testing.T) {
	root := certtest.NewRoot("root", now).Certificate
	found, err := certs.Parse(certs.Encode(root, root))
	if err != nil || len(found) != 2 || !found[0].Equal(root) {
		t.Errorf("%d certificates, %v", len(found), err)
	}
	pool := x509.NewCertPool()
	if err := certs.AddTo(pool, certs.Encode(root)); err != nil || pool.Equal(x509.NewCertPool()) {
		t.Errorf("no root was added: %v", err)
	}
	if err := certs.AddTo(pool, "words"); err == nil {
		t.Error("a text without certificates was accepted")
	}
}

func TestOnlyARootIsSelfSigned(t *testing.T) {
	root := certtest.NewRoot("root", now)
	for name, test := range map[string]struct {
		authority certtest.Authority
		want      bool
	}{
		"a root":                                {root, true},
		"an intermediate":                       {root.Intermediate("intermediate", now), false},
		"an intermediate that is named as root": {root.Intermediate("root", now), false},
	} {
		if got := certs.SelfSigned(test.authority.Certificate); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestRenewalIsDueAfterTwoThirdsOfALife(t *testing.T) {
	if got := certs.RenewAt(now, now.Add(90*time.Hour)); !got.Equal(now.Add(60 * time.Hour)) {
		t.Errorf("due at %s", got)
	}
}

// sec1 is a key as `openssl ecparam -genkey` writes it.
func sec1(t *testing.T) (key *ecdsa.PrivateKey, parameters, text string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n", certs.EncodeBlock("EC PRIVATE KEY", der)
}

func TestEveryFormOfAKeyIsReadAndHasOneFormAfterwards(t *testing.T) {
	key, parameters, text := sec1(t)
	want, err := certs.EncodeKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if block, rest := pem.Decode([]byte(want)); block.Type != "PRIVATE KEY" || len(rest) > 0 {
		t.Fatalf("a key is encoded as %q", block.Type)
	}
	for name, each := range map[string]string{"PKCS #8": want, "SEC 1": text, "SEC 1 behind its parameters": parameters + text, "with words before it": "Bag Attributes\n" + text} {
		read, err := certs.ParseKey(each)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := certs.EncodeKey(read); err != nil || got != want {
			t.Errorf("%s: encoded as\n%s%v", name, got, err)
		}
	}
	for kind, signer := range certtest.Keys() {
		text, err := certs.EncodeKey(signer)
		if err != nil {
			t.Fatal(err)
		}
		if read, err := certs.ParseKey(text); err != nil || !signer.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(read.Public()) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestAKeyIsReadStrictly(t *testing.T) {
	_, parameters, text := sec1(t)
	for name, test := range map[string]struct{ text, want string }{
		"an empty text":                    {"", "is not a PEM private key"},
		"words":                            {"secret", "is not a PEM private key"},
		"a certificate":                    {certtest.NewRoot("root", now).PEM(), `type "CERTIFICATE"`},
		"parameters alone":                 {parameters, "is not a PEM private key"},
		"parameters before something else": {parameters + certtest.NewRoot("root", now).PEM(), `"CERTIFICATE" follows "EC PARAMETERS"`},
		"parameters behind the key":        {text + parameters, "something follows the first key"},
		"two keys":                         {text + text, "something follows the first key"},
		"words behind the key":             {text + "secret", "something follows the first key"},
		"an encrypted key":                 {strings.Replace(text, "-----\n", "-----\nProc-Type: 4,ENCRYPTED\n\n", 1), "is it encrypted?"},
		"a broken key":                     {certs.EncodeBlock("PRIVATE KEY", []byte("x")), "cannot be parsed"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := certs.ParseKey(test.text)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want one that says %q", err, test.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error repeats the key: %v", err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	root := certtest.NewRoot("root", now).PEM()
	for _, seed := range []string{"", root, root + root, strings.TrimSuffix(root, "\n") + root, "words\n" + root} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		found, err := certs.Parse(text)
		if (err == nil) != (len(found) > 0) {
			t.Fatalf("%d certificates, %v", len(found), err)
		}
		// Nothing that is accepted reads differently where others are less strict.
		if err == nil && len(found) != strings.Count(text, "-----BEGIN ") {
			t.Fatalf("%d certificates, but %d blocks", len(found), strings.Count(text, "-----BEGIN "))
		}
	})
}
