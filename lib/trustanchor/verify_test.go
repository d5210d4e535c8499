package trustanchor_test

import (
	"crypto/x509"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/deckhouse-mesh/istio/lib/trustanchor"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
)

const (
	honest = "spiffe://" + domain + "/ns/shop/sa/api"
	ours   = "spiffe://cluster-a.local/ns/bank/sa/ledger"
	third  = "spiffe://cluster-c.local/ns/shop/sa/api"
)

// verifiers tell whether a leaf is accepted by whoever trusts these anchors alone.
var verifiers = map[string]func(t *testing.T, leaf *x509.Certificate, presented, trusted []*x509.Certificate) error{
	"crypto/x509": verifyWithGo,
	"OpenSSL":     verifyWithOpenSSL,
}

func verifyWithGo(_ *testing.T, leaf *x509.Certificate, presented, trusted []*x509.Certificate) error {
	options := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, certificate := range trusted {
		options.Roots.AddCert(certificate)
	}
	for _, certificate := range presented {
		options.Intermediates.AddCert(certificate)
	}
	_, err := leaf.Verify(options)
	return err
}

type openSSLError string

func (e openSSLError) Error() string { return string(e) }

func verifyWithOpenSSL(t *testing.T, leaf *x509.Certificate, presented, trusted []*x509.Certificate) error {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("there is no openssl on this machine")
	}
	dir := t.TempDir()
	args := []string{"verify", "-partial_chain", "-x509_strict", "-no-CApath", "-no-CAstore",
		"-attime", strconv.FormatInt(now.Unix(), 10), "-purpose", "sslserver"}
	write := func(flag, name string, certificates ...*x509.Certificate) {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(bundle(certificates...)), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, flag, path)
	}
	write("-CAfile", "trusted.pem", trusted...)
	if len(presented) > 0 {
		write("-untrusted", "presented.pem", presented...)
	}
	write("--", "leaf.pem", leaf)
	args = append(args[:len(args)-2], args[len(args)-1])
	output, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput()
	if err != nil {
		return openSSLError(output)
	}
	return nil
}

func TestAnAnchorCountsForItsPeersOwnDomainOnly(t *testing.T) {
	for kind := range certtest.Keys() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			root := newRoot(t, kind, nil)
			intermediate := root.intermediate()
			another := newRoot(t, "ECDSA P-256", func(template *x509.Certificate) { template.Subject = root.certificate.Subject })
			outcome, err := trustanchor.Reconcile([]trustanchor.Peer{{Name: "b", TrustDomain: domain, RootCA: bundle(root.certificate)}}, "", "", now)
			if err != nil || outcome.Rejected["b"] != nil {
				t.Fatal(err, outcome.Rejected)
			}
			trusted := parse(t, outcome.Anchors["b"][0])
			chain := []*x509.Certificate{intermediate.certificate}
			withRoot := []*x509.Certificate{intermediate.certificate, root.certificate}
			rootAlone := []*x509.Certificate{root.certificate}

			for name, test := range map[string]struct {
				leaf      *x509.Certificate
				presented []*x509.Certificate
				// rejectedFor is in the verifier's error; empty: the leaf verifies.
				rejectedFor map[string]string
			}{
				"an honest leaf verifies":                                            {root.leaf(honest), nil, nil},
				"also when the peer's own root is presented with it":                 {root.leaf(honest), rootAlone, nil},
				"an honest leaf of an intermediate verifies":                         {intermediate.leaf(honest), chain, nil},
				"also when the peer's own root is presented behind the intermediate": {intermediate.leaf(honest), withRoot, nil},

				"a leaf for our domain does not":                        {root.leaf(ours), nil, constrained},
				"nor when the peer's own root is presented with it":     {root.leaf(ours), rootAlone, constrained},
				"nor one of an intermediate":                            {intermediate.leaf(ours), chain, constrained},
				"nor one of an intermediate with the root behind it":    {intermediate.leaf(ours), withRoot, constrained},
				"nor a leaf for a third peer's domain":                  {root.leaf(third), nil, constrained},
				"nor a leaf for a domain below the peer's":              {root.leaf("spiffe://x." + domain + "/ns/a/sa/b"), nil, constrained},
				"nor a leaf for a domain that only ends alike":          {root.leaf("spiffe://evil-" + domain + "/ns/a/sa/b"), nil, constrained},
				"nor a leaf for the domain above the peer's":            {root.leaf("spiffe://local/ns/a/sa/b"), nil, constrained},
				"nor a leaf with an honest URI and one of ours":         {root.leaf(honest, ours), nil, constrained},
				"nor a leaf with an honest DNS name and a URI of ours":  {root.leaf("api.shop.svc."+domain, ours), nil, constrained},
				"nor a leaf with a DNS name of ours":                    {root.leaf("ledger.bank.svc.cluster-a.local"), nil, constrained},
				"nor a leaf with an identity of ours as a DNS name":     {named(root, func(c *x509.Certificate) { c.DNSNames = []string{ours} }), nil, constrained},
				"nor when it ends like the name of a Service":           {named(root, func(c *x509.Certificate) { c.DNSNames = []string{ours + ".svc"} }), nil, constrained},
				"nor when it ends like the name of an intermediate":     {named(root, func(c *x509.Certificate) { c.DNSNames = []string{ours + ".istiod.istio-system.svc"} }), nil, constrained},
				"nor when it ends like the peer's own domain":           {named(root, func(c *x509.Certificate) { c.DNSNames = []string{ours + "." + domain} }), nil, constrained},
				"nor one with an honest URI besides":                    {named(root, func(c *x509.Certificate) { c.DNSNames, c.URIs = []string{ours}, uris(t, honest) }), nil, constrained},
				"nor one of an intermediate with such a DNS name":       {named(intermediate, func(c *x509.Certificate) { c.DNSNames = []string{ours} }), chain, constrained},
				"nor a leaf whose e-mail begins as an identity of ours": {named(root, func(c *x509.Certificate) { c.EmailAddresses = []string{ours + "@invalid"} }), nil, nameless},
				"nor a leaf with an identity of ours for an e-mail":     {named(root, func(c *x509.Certificate) { c.EmailAddresses = []string{ours} }), nil, nameless},
				"nor a leaf of another CA of the same name":             {another.leaf(honest), nil, unknown},
			} {
				for tool, verify := range verifiers {
					t.Run(name+", says "+tool, func(t *testing.T) {
						err := verify(t, test.leaf, test.presented, trusted)
						switch {
						case test.rejectedFor == nil && err != nil:
							t.Errorf("rejected: %v", err)
						case test.rejectedFor != nil && err == nil:
							t.Error("accepted")
						case test.rejectedFor != nil && !strings.Contains(err.Error(), test.rejectedFor[tool]):
							t.Errorf("rejected for another reason: %v", err)
						}
					})
				}
			}
		})
	}
}

// named issues a leaf with names that package x509 would not think of.
func named(a authority, change func(*x509.Certificate)) *x509.Certificate {
	a.Helper()
	template := *a.leaf()
	template.Raw, template.SerialNumber, template.Extensions = nil, nil, nil
	change(&template)
	key := certtest.NewKeyOf("ECDSA P-256")
	return certtest.Sign(&template, a.certificate, key.Public(), a.key)
}

func uris(t *testing.T, text string) []*url.URL {
	t.Helper()
	parsed, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return []*url.URL{parsed}
}

var (
	nameless    = map[string]string{"crypto/x509": "", "OpenSSL": ""}
	constrained = map[string]string{"crypto/x509": "constraint", "OpenSSL": "subtree violation"}
	unknown     = map[string]string{"crypto/x509": "unknown authority", "OpenSSL": "unable to get"}
)

// TestALeafWithoutASPIFFENameHasNoIdentity: it verifies, so nothing may rest on a chain alone. Istio asks for a spiffe:// URI.
func TestALeafWithoutASPIFFENameHasNoIdentity(t *testing.T) {
	root := newRoot(t, "ECDSA P-256", nil)
	anchor := issue(t, root.certificate)
	for name, leaf := range map[string]*x509.Certificate{
		"no name at all": root.leaf(), "an IP address": root.leaf("192.0.2.1"),
	} {
		for tool, verify := range verifiers {
			t.Run(name+", says "+tool, func(t *testing.T) {
				if err := verify(t, leaf, nil, []*x509.Certificate{anchor}); err != nil {
					t.Errorf("the chain is rejected: %v", err)
				}
				if len(leaf.URIs) > 0 {
					t.Errorf("the leaf names %v", leaf.URIs)
				}
			})
		}
	}
}

// TestTheAnchorsOfADeletedPeerAreDropped: an anchor that somebody presents leads nowhere.
func TestTheAnchorsOfADeletedPeerAreDropped(t *testing.T) {
	root, own := newRoot(t, "ECDSA P-256", nil), newRoot(t, "ECDSA P-256", nil)
	anchor := issue(t, root.certificate)
	other := issue(t, newRoot(t, "Ed25519", nil).certificate)
	for tool, verify := range verifiers {
		t.Run(tool, func(t *testing.T) {
			presented := []*x509.Certificate{anchor, root.certificate}
			err := verify(t, root.leaf(honest), presented, []*x509.Certificate{own.certificate, other})
			if err == nil || !strings.Contains(err.Error(), unknown[tool]) {
				t.Errorf("verify: %v", err)
			}
		})
	}
}

func TestAnchorsOfSeveralPeersDoNotInterfere(t *testing.T) {
	b, c := newRoot(t, "RSA", nil), newRoot(t, "ECDSA P-384", nil)
	second := newRoot(t, "Ed25519", nil)
	outcome, err := trustanchor.Reconcile([]trustanchor.Peer{
		{Name: "c", TrustDomain: "cluster-c.local", RootCA: bundle(c.certificate)},
		{Name: "b", TrustDomain: domain, RootCA: bundle(b.certificate, second.certificate)},
	}, "", "", now)
	if err != nil || len(outcome.Rejected) > 0 {
		t.Fatal(err, outcome.Rejected)
	}
	var trusted []*x509.Certificate
	for _, anchors := range outcome.Anchors {
		for _, anchor := range anchors {
			trusted = append(trusted, parse(t, anchor)...)
		}
	}
	if len(trusted) != 3 || outcome.Issued != 3 {
		t.Fatalf("%d anchors, %d issued", len(trusted), outcome.Issued)
	}
	for tool, verify := range verifiers {
		for _, leaf := range []*x509.Certificate{b.leaf(honest), second.leaf(honest), c.leaf(third)} {
			if err := verify(t, leaf, nil, trusted); err != nil {
				t.Errorf("%s rejects %v: %v", tool, leaf.URIs, err)
			}
		}
		for _, leaf := range []*x509.Certificate{b.leaf(third), second.leaf(ours), c.leaf(honest)} {
			if verify(t, leaf, nil, trusted) == nil {
				t.Errorf("%s accepts %v of another peer", tool, leaf.URIs)
			}
		}
	}
}

func parse(t *testing.T, text string) []*x509.Certificate {
	t.Helper()
	var certificates []*x509.Certificate
	for rest := []byte(text); len(rest) > 0; {
		var parsed *x509.Certificate
		parsed, rest = parseOne(t, rest)
		certificates = append(certificates, parsed)
	}
	return certificates
}
