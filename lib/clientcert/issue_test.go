package clientcert_test

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/clientcert"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
)

func issuer(t *testing.T, root, signer certtest.Authority) clientcert.Issuer {
	t.Helper()
	return clientcert.Issuer{
		Cert: signer.PEM(), Key: signer.KeyPEM(), Chain: signer.ChainPEM() + root.PEM(), Root: root.PEM(),
	}
}

func renewed(t *testing.T, current clientcert.Certificate, by clientcert.Issuer, at time.Time) clientcert.Certificate {
	t.Helper()
	certificate, err := clientcert.Renew(current, by, at)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func leafOf(t *testing.T, certificate clientcert.Certificate) *x509.Certificate {
	t.Helper()
	pair, err := certificate.KeyPair()
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf
}

func TestPeersAcceptAnIssuedCertificate(t *testing.T) {
	for kind, key := range certtest.Keys() {
		t.Run(kind, func(t *testing.T) {
			root := certtest.NewRootWithKey("Istio CA", key, now)
			certificate := renewed(t, clientcert.Certificate{}, issuer(t, root, root), now)
			if err := certificate.Check(root.PEM(), now); err != nil {
				t.Fatal(err)
			}
			leaf := leafOf(t, certificate)
			if got := leaf.Subject.String(); got != "CN=deckhouse" {
				t.Errorf("subject %s", got)
			}
			if got := leaf.NotAfter.Sub(now); got != 7*24*time.Hour {
				t.Errorf("it lives for %s", got)
			}
			if got := now.Sub(leaf.NotBefore); got != time.Minute {
				t.Errorf("it begins %s ago", got)
			}
			if len(leaf.URIs)+len(leaf.DNSNames)+len(leaf.IPAddresses)+len(leaf.EmailAddresses) > 0 || leaf.IsCA {
				t.Errorf("it is more than a client: %v %v", leaf.URIs, leaf.DNSNames)
			}
			if strings.Count(certificate.Crt, "BEGIN") != 1 {
				t.Error("the root is in the chain, though peers have it")
			}
		})
	}
}

func TestAnIntermediateAuthoritysChainComesWithTheCertificate(t *testing.T) {
	root := certtest.NewRoot("root", now)
	upper := root.Intermediate("upper", now)
	lower := upper.Intermediate("lower", now)
	for name, by := range map[string]clientcert.Issuer{
		"the chain as istiod has it": {Cert: lower.PEM(), Key: lower.KeyPEM(), Chain: lower.ChainPEM() + root.PEM(), Root: root.PEM()},
		"a chain without its own":    {Cert: lower.PEM(), Key: lower.KeyPEM(), Chain: upper.ChainPEM(), Root: root.PEM()},
	} {
		t.Run(name, func(t *testing.T) {
			certificate := renewed(t, clientcert.Certificate{}, by, now)
			if err := certificate.Check(root.PEM(), now); err != nil {
				t.Error(err)
			}
			if got := strings.Count(certificate.Crt, "BEGIN"); got != 3 {
				t.Errorf("%d certificates, want leaf, lower and upper", got)
			}
			if again := renewed(t, certificate, by, now); again != certificate {
				t.Error("it is not stable")
			}
		})
	}
}

func TestWhenACertificateIsRenewed(t *testing.T) {
	root, other := certtest.NewRoot("Istio CA", now), certtest.NewRoot("Istio CA", now)
	by := issuer(t, root, root)
	first := renewed(t, clientcert.Certificate{}, by, now)
	life := 7*24*time.Hour + time.Minute
	rotating := issuer(t, other, other)
	rotating.Root += root.PEM()
	foreignKey := first
	foreignKey.Key = renewed(t, clientcert.Certificate{}, by, now).Key
	onlyNear := certtest.NewRoot("ending", now, func(c *x509.Certificate) { c.NotAfter = now.Add(24 * time.Hour) })

	for name, test := range map[string]struct {
		current clientcert.Certificate
		by      clientcert.Issuer
		at      time.Time
		renewed bool
	}{
		"not an hour later":                          {first, by, now.Add(time.Hour), false},
		"not just before two thirds of its life":     {first, by, now.Add(-time.Minute + life*2/3 - time.Second), false},
		"at two thirds of its life":                  {first, by, now.Add(-time.Minute + life*2/3), true},
		"when it has ended":                          {first, by, now.Add(8 * 24 * time.Hour), true},
		"when the authority is another":              {first, issuer(t, other, other), now, true},
		"when another root signs beside the former":  {first, rotating, now, true},
		"when the key is another's":                  {foreignKey, by, now, true},
		"when the Secret holds rubbish":              {clientcert.Certificate{Crt: "rubbish", Key: "rubbish"}, by, now, true},
		"when the clock was turned back before it":   {first, by, now.Add(-time.Hour), true},
		"not when a new one would end no later":      {renewed(t, clientcert.Certificate{}, issuer(t, onlyNear, onlyNear), now), issuer(t, onlyNear, onlyNear), now.Add(20 * time.Hour), false},
		"when another intermediate belongs to chain": {first, issuer(t, root, root.Intermediate("middle", now)), now, true},
	} {
		t.Run(name, func(t *testing.T) {
			got := renewed(t, test.current, test.by, test.at)
			if (got != test.current) != test.renewed {
				t.Errorf("renewed: %v, want %v", got != test.current, test.renewed)
			}
			if err := got.Check(test.by.Root, test.at); err != nil {
				t.Errorf("what is used now does not verify: %v", err)
			}
		})
	}
}

func TestTheFormerCertificateIsStillGoodWhenItIsRenewed(t *testing.T) {
	root := certtest.NewRoot("Istio CA", now)
	by := issuer(t, root, root)
	former := renewed(t, clientcert.Certificate{}, by, now)
	for at := now; ; at = at.Add(time.Hour) {
		certificate := renewed(t, former, by, at)
		if certificate == former {
			continue
		}
		left := leafOf(t, former).NotAfter.Sub(at)
		if left < 2*24*time.Hour {
			t.Errorf("the former ends %s after its renewal, want two days at least", left)
		}
		for name, each := range map[string]clientcert.Certificate{"former": former, "new": certificate} {
			if err := each.Check(root.PEM(), at); err != nil {
				t.Errorf("the %s one: %v", name, err)
			}
		}
		return
	}
}

func TestACertificateEndsNoLaterThanItsAuthority(t *testing.T) {
	root := certtest.NewRoot("Istio CA", now, func(c *x509.Certificate) { c.NotAfter = now.Add(48 * time.Hour) })
	if leaf := leafOf(t, renewed(t, clientcert.Certificate{}, issuer(t, root, root), now)); !leaf.NotAfter.Equal(now.Add(48 * time.Hour)) {
		t.Errorf("it ends at %s", leaf.NotAfter)
	}
}

func TestAnAuthorityThatCannotIssueLeavesWhatThereIs(t *testing.T) {
	root := certtest.NewRoot("Istio CA", now)
	good := issuer(t, root, root)
	first := renewed(t, clientcert.Certificate{}, good, now)
	late := now.Add(6 * 24 * time.Hour)
	servers := certtest.NewRoot("servers only", now, uses(x509.ExtKeyUsageServerAuth))
	broken := map[string]clientcert.Issuer{
		"another's key":                         {Cert: root.PEM(), Key: certtest.NewRoot("x", now).KeyPEM(), Root: root.PEM()},
		"no key":                                {Cert: root.PEM(), Root: root.PEM()},
		"a broken chain":                        {Cert: root.PEM(), Key: root.KeyPEM(), Chain: "rubbish", Root: root.PEM()},
		"a root that has nothing to do with it": {Cert: servers.PEM(), Key: servers.KeyPEM(), Root: root.PEM()},
	}
	for name, by := range broken {
		t.Run(name, func(t *testing.T) {
			got, err := clientcert.Renew(first, by, late)
			if err == nil || got != first {
				t.Errorf("with one in use: kept %v, err %v", got == first, err)
			}
			if got, err = clientcert.Renew(first, by, now.Add(8*24*time.Hour)); err == nil || !got.IsZero() {
				t.Errorf("with one that has ended: %v, err %v", got, err)
			}
			if got, err = clientcert.Renew(clientcert.Certificate{}, by, now); err == nil || !got.IsZero() {
				t.Errorf("without one: %v, err %v", got, err)
			}
		})
	}
	if _, err := clientcert.Renew(clientcert.Certificate{}, issuer(t, servers, servers), now); err == nil || !strings.Contains(err.Error(), "servers only") {
		t.Errorf("an authority whose certificates no peer accepts: %v", err)
	}
}
