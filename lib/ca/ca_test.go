package ca_test

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/ca"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
)

// issued is an authority in PEM.
type issued struct {
	certtest.Authority
	pem, keyPEM string
}

func issue(t *testing.T, name string, parent *issued, change func(*x509.Certificate)) *issued {
	t.Helper()
	now := time.Now()
	changes := []certtest.Change{func(template *x509.Certificate) {
		template.NotBefore, template.NotAfter = now.Add(-time.Hour), now.Add(time.Hour)
	}}
	if change != nil {
		changes = append(changes, change)
	}
	if parent == nil {
		root := certtest.NewRoot(name, now, changes...)
		return &issued{root, root.PEM(), root.KeyPEM()}
	}
	below := parent.Intermediate(name, now, changes...)
	return &issued{below, below.PEM(), below.KeyPEM()}
}

// sec1 is the key as OpenSSL's older commands write it.
func (i *issued) sec1(t *testing.T) string {
	t.Helper()
	key, _ := i.Key.(*ecdsa.PrivateKey)
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
}

func TestCheck(t *testing.T) {
	root := issue(t, "root", nil, nil)
	intermediate := issue(t, "intermediate", root, nil)
	signing := issue(t, "signing", intermediate, nil)
	stranger := issue(t, "stranger", nil, nil)
	leaf := issue(t, "leaf", root, func(c *x509.Certificate) { c.IsCA = false })
	expired := issue(t, "expired", nil, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	future := issue(t, "future", nil, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) })
	parameters := "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
	mayNotSign := issue(t, "mayNotSign", nil, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature })

	for name, test := range map[string]struct {
		bundle ca.Bundle
		want   []string
	}{
		"a self-signed CA needs neither chain nor root":   {ca.Bundle{Cert: root.pem, Key: root.keyPEM}, nil},
		"an intermediate verifies through the chain":      {ca.Bundle{Cert: signing.pem, Key: signing.keyPEM, Chain: signing.pem + intermediate.pem, Root: root.pem}, nil},
		"a rotation trusts two roots":                     {ca.Bundle{Cert: root.pem, Key: root.keyPEM, Root: stranger.pem + root.pem}, nil},
		"a key of another certificate is rejected":        {ca.Bundle{Cert: root.pem, Key: stranger.keyPEM}, []string{"ca.key: does not belong"}},
		"a key that is no key is rejected":                {ca.Bundle{Cert: root.pem, Key: "x"}, []string{"ca.key: is not a PEM private key"}},
		"a missing key is rejected":                       {ca.Bundle{Cert: root.pem}, []string{"ca.key: is missing"}},
		"a certificate that is no CA is rejected":         {ca.Bundle{Cert: leaf.pem, Key: leaf.keyPEM, Root: root.pem}, []string{"ca.cert:", "is not a CA"}},
		"a CA that may not sign certificates is rejected": {ca.Bundle{Cert: mayNotSign.pem, Key: mayNotSign.keyPEM}, []string{"may not sign"}},
		"an expired CA is rejected":                       {ca.Bundle{Cert: expired.pem, Key: expired.keyPEM}, []string{"ca.cert:", "expired at"}},
		"a CA of the future is rejected":                  {ca.Bundle{Cert: future.pem, Key: future.keyPEM}, []string{"ca.cert:", "valid only from"}},
		"a chain with a gap is rejected":                  {ca.Bundle{Cert: signing.pem, Key: signing.keyPEM, Chain: signing.pem, Root: root.pem}, []string{"ca.chain:", "does not verify"}},
		"a foreign root is rejected":                      {ca.Bundle{Cert: root.pem, Key: root.keyPEM, Root: stranger.pem}, []string{"does not verify up to ca.root"}},
		"a key behind its parameters is sound":            {ca.Bundle{Cert: root.pem, Key: parameters + root.sec1(t)}, nil},
		"something behind the key is rejected":            {ca.Bundle{Cert: root.pem, Key: root.keyPEM + parameters}, []string{"ca.key:", "something follows"}},
		"roots without a newline between them":            {ca.Bundle{Cert: root.pem, Key: root.keyPEM, Root: root.pem + strings.TrimSpace(stranger.pem) + expired.pem}, []string{"ca.root: certificate 2:", "put a newline"}},
		"an intermediate as root verifies":                {ca.Bundle{Cert: signing.pem, Key: signing.keyPEM, Root: intermediate.pem}, nil},
		"every problem is named":                          {ca.Bundle{Cert: expired.pem, Key: root.keyPEM, Root: "x"}, []string{"ca.key:", "ca.cert:", "ca.root: holds no PEM certificate"}},
		"an empty certificate is rejected":                {ca.Bundle{Key: root.keyPEM}, []string{"ca.cert: holds no PEM certificate"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.bundle.Check(time.Now())
			if len(test.want) == 0 && err != nil {
				t.Fatal(err)
			}
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want one that says %q", err, want)
				}
			}
		})
	}
}

func TestAnIntermediateIsNoRootInTheSettings(t *testing.T) {
	root := issue(t, "root", nil, nil)
	intermediate := issue(t, "intermediate", root, nil)
	signing := issue(t, "signing", intermediate, nil)
	for name, test := range map[string]struct {
		bundle ca.Bundle
		want   string
	}{
		"a self-signed CA":                         {ca.Bundle{Cert: root.pem, Key: root.keyPEM}, ""},
		"an intermediate under its root":           {ca.Bundle{Cert: signing.pem, Key: signing.keyPEM, Chain: signing.pem + intermediate.pem, Root: root.pem}, ""},
		"an intermediate as root":                  {ca.Bundle{Cert: signing.pem, Key: signing.keyPEM, Chain: signing.pem, Root: intermediate.pem}, "ca.root:"},
		"an intermediate beside its root":          {ca.Bundle{Cert: signing.pem, Key: signing.keyPEM, Chain: signing.pem, Root: intermediate.pem + root.pem}, "ca.root:"},
		"an intermediate for which no root is set": {ca.Bundle{Cert: signing.pem, Key: signing.keyPEM}, "ca.root:"},
	} {
		t.Run(name, func(t *testing.T) {
			choice, err := ca.Choose(test.bundle, ca.Bundle{Cert: root.pem, Key: root.keyPEM}, "cluster-a.local", time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if test.want == "" {
				if choice.Rejected != nil {
					t.Error(choice.Rejected)
				}
				return
			}
			if choice.Rejected == nil || !strings.Contains(choice.Rejected.Error(), test.want) || !strings.Contains(choice.Rejected.Error(), "publish the self-signed root") {
				t.Errorf("error %v, want one that says %q and the cure", choice.Rejected, test.want)
			}
			if choice.Bundle.Cert != root.pem {
				t.Error("the CA in force does not stay")
			}
		})
	}
}

// istiod reads the first PEM block of a key alone, and knows three types of them.
func TestAKeyIsWrittenInTheFormThatIstiodReads(t *testing.T) {
	root := issue(t, "root", nil, nil)
	untidy := ca.Bundle{
		Cert: "words\n" + root.pem, Root: "words\n" + root.pem,
		Key: "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + root.sec1(t),
	}
	tidy := ca.Bundle{Cert: root.pem, Key: root.keyPEM, Chain: root.pem, Root: root.pem}
	for name, given := range map[string]struct{ configured, current ca.Bundle }{
		"a CA of the settings":  {configured: untidy},
		"a CA in force already": {current: untidy},
	} {
		choice, err := ca.Choose(given.configured, given.current, "cluster-a.local", time.Now())
		if err != nil || choice.Rejected != nil {
			t.Fatal(err, choice.Rejected)
		}
		if choice.Bundle != tidy {
			t.Errorf("%s is used as %+v", name, choice.Bundle)
		}
		rotation := ca.Rotate(ca.State{Signing: given.current}, ca.Seen{Installed: given.current}, choice.Bundle, "", time.Now())
		if rotation.Signing != tidy || rotation.Phase != "" {
			t.Errorf("%s signs as %+v in phase %q", name, rotation.Signing, rotation.Phase)
		}
	}
	generated, err := ca.Generate("cluster-a.local")
	if err != nil || !strings.HasPrefix(generated.Key, "-----BEGIN PRIVATE KEY-----\n") {
		t.Errorf("a generated key begins with %.30q, %v", generated.Key, err)
	}
}

func TestExpires(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	until := func(after time.Duration) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotAfter = now.Add(after) }
	}
	root := issue(t, "root", nil, until(5*time.Hour))
	older := issue(t, "older root", nil, until(1*time.Hour))
	intermediate := issue(t, "intermediate", root, until(3*time.Hour))
	signing := issue(t, "signing", intermediate, until(4*time.Hour))
	for name, test := range map[string]struct {
		bundle ca.Bundle
		after  time.Duration
	}{
		"a self-signed CA ends with its certificate":     {ca.Bundle{Cert: root.pem}, 5 * time.Hour},
		"a chain ends with the first of its links":       {ca.Bundle{Cert: signing.pem, Chain: signing.pem + intermediate.pem, Root: root.pem}, 3 * time.Hour},
		"of several roots one is enough":                 {ca.Bundle{Cert: intermediate.pem, Chain: intermediate.pem, Root: older.pem + root.pem}, 3 * time.Hour},
		"a CA that outlives its root ends with the root": {ca.Bundle{Cert: intermediate.pem, Chain: intermediate.pem, Root: older.pem}, 1 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			if got, want := test.bundle.Expires(), now.Add(test.after); !got.Equal(want) {
				t.Errorf("ends at %s, want %s", got, want)
			}
		})
	}
	if got := (ca.Bundle{}).Expires(); !got.IsZero() {
		t.Errorf("a CA that does not exist ends at %s", got)
	}
}

func TestChoose(t *testing.T) {
	current, err := ca.Generate("cluster-a.local")
	if err != nil {
		t.Fatal(err)
	}
	custom := issue(t, "custom", nil, nil)
	configured := ca.Bundle{Cert: custom.pem, Key: custom.keyPEM}
	broken := ca.Bundle{Cert: custom.pem, Key: current.Key}
	now := time.Now()

	for name, test := range map[string]struct {
		configured, current ca.Bundle
		at                  time.Time
		check               func(ca.Choice) bool
	}{
		"without anything a sound CA is generated": {ca.Bundle{}, ca.Bundle{}, now, func(got ca.Choice) bool {
			return got.Generated && got.Bundle.Check(now) == nil
		}},
		"the one in use stays": {ca.Bundle{}, current, now, func(got ca.Choice) bool {
			return !got.Generated && got.Bundle == current
		}},
		"the one in use stays even when it has expired": {ca.Bundle{}, current, now.Add(20 * 365 * 24 * time.Hour), func(got ca.Choice) bool {
			return !got.Generated && got.Bundle == current
		}},
		"a sound configured one replaces it": {configured, current, now, func(got ca.Choice) bool {
			return got.Bundle.Cert == custom.pem && got.Bundle.Root == custom.pem && got.Rejected == nil
		}},
		"a bad configured one does not": {broken, current, now, func(got ca.Choice) bool {
			return got.Bundle == current && got.Rejected != nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ca.Choose(test.configured, test.current, "cluster-a.local", test.at)
			if err != nil {
				t.Fatal(err)
			}
			if !test.check(got) {
				t.Errorf("got %+v", got)
			}
		})
	}
}
