package trustanchor_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/trustanchor"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
)

func parseOne(t *testing.T, text []byte) (*x509.Certificate, []byte) {
	t.Helper()
	block, rest := pem.Decode(text)
	if block == nil {
		t.Fatalf("no PEM: %q", text)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, rest
}

func issue(t *testing.T, root *x509.Certificate) *x509.Certificate {
	t.Helper()
	if err := trustanchor.Check(root, domain, now); err != nil {
		t.Fatal(err)
	}
	anchor, err := trustanchor.Issue(root, []string{domain}, now)
	if err != nil {
		t.Fatal(err)
	}
	return anchor
}

func TestAnAnchorHasTheRestrictionsOfItsRoot(t *testing.T) {
	root := newRoot(t, "ECDSA P-256", func(template *x509.Certificate) {
		template.MaxPathLen, template.MaxPathLenZero = 0, true
		template.ExcludedDNSDomains = []string{"example.com"}
		template.PermittedIPRanges = []*net.IPNet{{IP: net.IP{10, 0, 0, 0}, Mask: net.CIDRMask(8, 32)}}
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}).certificate
	anchor := issue(t, root)
	if !bytes.Equal(anchor.RawSubject, root.RawSubject) || !bytes.Equal(anchor.SubjectKeyId, root.SubjectKeyId) ||
		!bytes.Equal(anchor.RawSubjectPublicKeyInfo, root.RawSubjectPublicKeyInfo) {
		t.Error("subject, key identifier or public key differ")
	}
	if !anchor.IsCA || !anchor.PermittedDNSDomainsCritical || !slices.Equal(anchor.PermittedURIDomains, []string{domain}) {
		t.Errorf("bounds: %v critical %v", anchor.PermittedURIDomains, anchor.PermittedDNSDomainsCritical)
	}
	if !anchor.MaxPathLenZero || !slices.Contains(anchor.ExcludedDNSDomains, root.ExcludedDNSDomains[0]) ||
		len(anchor.PermittedIPRanges) != 1 || !slices.Equal(anchor.ExtKeyUsage, root.ExtKeyUsage) {
		t.Error("what bounds the root does not bound the anchor")
	}
	if bytes.Equal(anchor.RawIssuer, anchor.RawSubject) || anchor.CheckSignatureFrom(root) == nil {
		t.Error("the anchor is issued by the peer")
	}
	again := issue(t, root)
	if anchor.SerialNumber.Cmp(again.SerialNumber) == 0 || bytes.Equal(anchor.AuthorityKeyId, again.AuthorityKeyId) {
		t.Error("two anchors share a serial number or an issuer's key")
	}
}

func TestAnAnchorLivesWithinItsRoot(t *testing.T) {
	for name, test := range map[string]struct {
		from, to, wantFrom, wantTo time.Duration // relative to now
	}{
		"a year of a long-lived root":         {-48 * time.Hour, 5 * trustanchor.MaxLifetime, -time.Hour, trustanchor.MaxLifetime},
		"the rest of a root that ends soon":   {-48 * time.Hour, 72 * time.Hour, -time.Hour, 72 * time.Hour},
		"not before a root that is brand-new": {-time.Minute, 5 * trustanchor.MaxLifetime, -time.Minute, trustanchor.MaxLifetime},
	} {
		t.Run(name, func(t *testing.T) {
			anchor := issue(t, newRoot(t, "ECDSA P-256", func(template *x509.Certificate) {
				template.NotBefore, template.NotAfter = now.Add(test.from), now.Add(test.to)
			}).certificate)
			if !anchor.NotBefore.Equal(now.Add(test.wantFrom)) || !anchor.NotAfter.Equal(now.Add(test.wantTo)) {
				t.Errorf("valid %s to %s", anchor.NotBefore.Sub(now), anchor.NotAfter.Sub(now))
			}
		})
	}
}

func TestAnAnchorChangesOnlyWithItsRootItsDomainsOrTime(t *testing.T) {
	root := newRoot(t, "ECDSA P-256", nil)
	template := caTemplate("Root of ECDSA P-256")
	template.NotAfter = root.certificate.NotAfter.Add(time.Hour)
	renewed := certtest.Sign(template, template, root.key.Public(), root.key)
	other := newRoot(t, "ECDSA P-256", nil).certificate
	peer := func(name, trustDomain string, roots ...*x509.Certificate) []trustanchor.Peer {
		return []trustanchor.Peer{{Name: name, TrustDomain: trustDomain, RootCA: bundle(roots...)}}
	}
	first, err := trustanchor.Reconcile(peer("b", domain, root.certificate), "", "", now)
	if err != nil {
		t.Fatal(err)
	}
	soon := newRoot(t, "ECDSA P-256", func(template *x509.Certificate) { template.NotAfter = now.Add(30 * 24 * time.Hour) })
	firstSoon, err := trustanchor.Reconcile(peer("b", domain, soon.certificate), "", "", now)
	if err != nil {
		t.Fatal(err)
	}
	plain := bundle(root.certificate)
	for name, test := range map[string]struct {
		peers  []trustanchor.Peer
		stored string
		after  time.Duration
		issued int
		total  int
	}{
		"nothing new":                                 {peer("b", domain, root.certificate), first.Stored, 0, 0, 1},
		"months later":                                {peer("b", domain, root.certificate), first.Stored, trustanchor.MaxLifetime * 6 / 10, 0, 1},
		"another resource for the same peer":          {peer("b2", domain, root.certificate), first.Stored, 0, 0, 1},
		"the stored bundle has rubbish around it":     {peer("b", domain, root.certificate), "x\n" + first.Stored + "y\n", 0, 0, 1},
		"the root was renewed over its key":           {peer("b", domain, renewed), first.Stored, 0, 0, 1},
		"old and renewed root together":               {peer("b", domain, root.certificate, renewed), first.Stored, 0, 0, 1},
		"two thirds have passed":                      {peer("b", domain, root.certificate), first.Stored, trustanchor.MaxLifetime*2/3 + time.Hour, 1, 1},
		"another trust domain":                        {peer("b", "cluster-c.local", root.certificate), first.Stored, 0, 1, 1},
		"another root":                                {peer("b", domain, other), first.Stored, 0, 1, 1},
		"a second root":                               {peer("b", domain, root.certificate, other), first.Stored, 0, 1, 2},
		"nothing was stored":                          {peer("b", domain, root.certificate), "", 0, 1, 1},
		"the stored one is the peer's unbounded root": {peer("b", domain, root.certificate), plain, 0, 1, 1},
		"the peer was deleted":                        {nil, first.Stored, 0, 0, 0},
		"an anchor that ends with its root stays":     {peer("b", domain, soon.certificate), firstSoon.Stored, 29 * 24 * time.Hour, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			outcome, err := trustanchor.Reconcile(test.peers, "", test.stored, now.Add(test.after))
			if err != nil || len(outcome.Rejected) > 0 {
				t.Fatal(err, outcome.Rejected)
			}
			if outcome.Issued != test.issued || strings.Count(outcome.Stored, "BEGIN CERTIFICATE") != test.total {
				t.Errorf("%d issued, stored:\n%s", outcome.Issued, outcome.Stored)
			}
			again, err := trustanchor.Reconcile(test.peers, "", outcome.Stored, now.Add(test.after))
			if err != nil || again.Issued != 0 || again.Stored != outcome.Stored || !reflect.DeepEqual(again.Anchors, outcome.Anchors) {
				t.Errorf("the second run differs: %+v, %v", again, err)
			}
		})
	}
}

func TestARejectedRootComesWithTheReason(t *testing.T) {
	weak := func(key crypto.Signer, err error) func(t *testing.T) *x509.Certificate {
		return func(t *testing.T) *x509.Certificate {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			template := caTemplate("weak")
			return certtest.Sign(template, template, key.Public(), key)
		}
	}
	changed := func(change func(*x509.Certificate)) func(*testing.T) *x509.Certificate {
		return func(t *testing.T) *x509.Certificate { t.Helper(); return newRoot(t, "ECDSA P-256", change).certificate }
	}
	p224, p224Err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	for name, test := range map[string]struct {
		root   func(*testing.T) *x509.Certificate
		reason string
	}{
		"SHA-1":                {sha1Root, "SHA1"},
		"RSA of 1024 bits":     {rsa1024Root, "1024 bits"},
		"an obsolete curve":    {weak(p224, p224Err), "P-224"},
		"not a CA":             {changed(func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, 0 }), "not a CA"},
		"no right to sign":     {changed(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }), "may not sign"},
		"expired":              {changed(func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) }), "expired"},
		"from the future":      {changed(func(c *x509.Certificate) { c.NotBefore = now.Add(time.Minute) }), "only from"},
		"bound to another URI": {changed(func(c *x509.Certificate) { c.PermittedURIDomains = []string{"cluster-c.local"} }), "name constraints"},
		"usages nobody knows": {changed(func(c *x509.Certificate) {
			for index := range 400 {
				c.UnknownExtKeyUsage = append(c.UnknownExtKeyUsage, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, index})
			}
		}), "extended key usages that are not understood here: 400"},
		"bound away from it": {changed(func(c *x509.Certificate) { c.ExcludedURIDomains = []string{domain} }), "name constraints"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := test.root(t)
			if err := trustanchor.Check(bad, domain, now); err == nil || !strings.Contains(err.Error(), test.reason) {
				t.Errorf("Check() = %v, want %q", err, test.reason)
			}
			good := newRoot(t, "ECDSA P-256", nil).certificate
			peers := []trustanchor.Peer{
				{Name: "bad", TrustDomain: domain, RootCA: bundle(bad)},
				{Name: "good", TrustDomain: "cluster-c.local", RootCA: bundle(good)},
			}
			outcome, err := trustanchor.Reconcile(peers, "", "", now)
			if err != nil {
				t.Fatal(err)
			}
			if len(outcome.Anchors["bad"]) > 0 || len(outcome.Anchors["good"]) != 1 || !strings.Contains(outcome.Rejected["bad"].Error(), test.reason) {
				t.Errorf("outcome %+v", outcome)
			}
		})
	}
}

func TestABadRootBesideAGoodOneCostsOnlyItself(t *testing.T) {
	good, bad := newRoot(t, "ECDSA P-256", nil).certificate, sha1Root(t)
	roots, problem := trustanchor.Usable(bundle(bad, good), domain, now)
	if len(roots) != 1 || !roots[0].Equal(good) || problem == nil {
		t.Errorf("usable %d, problem %v", len(roots), problem)
	}
	if roots, problem := trustanchor.Usable("rubbish", domain, now); len(roots) > 0 || problem == nil {
		t.Errorf("of rubbish: %v, %v", roots, problem)
	}
}

func sha1Root(t *testing.T) *x509.Certificate {
	t.Helper()
	return opensslRoot(t, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-sha1")
}

func rsa1024Root(t *testing.T) *x509.Certificate {
	t.Helper()
	return opensslRoot(t, "-newkey", "rsa:1024", "-sha256")
}

// opensslRoot makes what Go rejects to make.
func opensslRoot(t *testing.T, args ...string) *x509.Certificate {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("there is no openssl on this machine")
	}
	path := filepath.Join(t.TempDir(), "root.pem")
	args = append([]string{"req", "-x509", "-nodes", "-subj", "/CN=weak", "-days", "3650", "-keyout", os.DevNull, "-out", path,
		"-addext", "basicConstraints=critical,CA:TRUE"}, args...)
	if output, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput(); err != nil {
		t.Fatalf("openssl: %v: %s", err, output)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	certificate, _ := parseOne(t, text)
	return certificate
}
