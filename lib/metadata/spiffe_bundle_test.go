package metadata_test

import (
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
)

var bundleTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func bundleRoot(t *testing.T, name string, notAfter time.Time) string {
	t.Helper()
	return certtest.NewRoot(name, bundleTime, certtest.Until(notAfter)).PEM()
}

func TestSPIFFEBundleHoldsEveryRootForSPIFFEReaders(t *testing.T) {
	roots := bundleRoot(t, "old", bundleTime.Add(time.Hour)) + bundleRoot(t, "new", bundleTime.Add(time.Hour))
	body, err := metadata.SPIFFEBundle("cluster-a.local", roots, bundleTime)
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := spiffebundle.Parse(spiffeid.RequireTrustDomainFromString("cluster-a.local"), body)
	if err != nil {
		t.Fatalf("a SPIFFE reader rejects it: %v\n%s", err, body)
	}
	var names []string
	for _, certificate := range bundle.X509Authorities() {
		names = append(names, certificate.Subject.CommonName)
	}
	if strings.Join(names, " ") != "old new" {
		t.Errorf("the bundle has roots %v", names)
	}
	if hint, ok := bundle.RefreshHint(); !ok || hint != 5*time.Minute {
		t.Errorf("refresh hint = %v, %v", hint, ok)
	}
	again, err := metadata.SPIFFEBundle("cluster-a.local", roots, bundleTime)
	if err != nil || string(again) != string(body) {
		t.Errorf("the same roots give other bytes: %v", err)
	}
}

func TestSPIFFEBundleRejectsUnusableRoots(t *testing.T) {
	good := bundleRoot(t, "root", bundleTime.Add(time.Hour))
	for name, test := range map[string]struct{ trustDomain, roots, want string }{
		"no roots":                       {"cluster-a.local", "", "root CA: holds no PEM certificate"},
		"roots that are no certificates": {"cluster-a.local", "hello", "root CA: holds no PEM certificate"},
		"an expired root":                {"cluster-a.local", bundleRoot(t, "expired", bundleTime.Add(-time.Minute)), "expired"},
		"a trust domain with spaces":     {"cluster a", good, "trust domain"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := metadata.SPIFFEBundle(test.trustDomain, test.roots, bundleTime); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("SPIFFEBundle() = %v, want an error with %q", err, test.want)
			}
		})
	}
}
