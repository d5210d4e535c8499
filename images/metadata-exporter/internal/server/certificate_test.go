package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/fixture"
)

func writePair(t *testing.T, dir, certificate, key string) {
	t.Helper()
	for name, text := range map[string]string{"tls.crt": certificate, "tls.key": key} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// subject of the certificate that a handshake would get.
func subject(t *testing.T, certificate *Certificate) string {
	t.Helper()
	got, err := certificate.Get(nil)
	if err != nil {
		t.Fatal(err)
	}
	return got.Leaf.Subject.CommonName
}

func TestACertificateFollowsItsFilesAndSurvivesBrokenOnes(t *testing.T) {
	dir := t.TempDir()
	first, firstKey := fixture.CertificatePEM(t, "first", false)
	second, secondKey := fixture.CertificatePEM(t, "second", false)
	writePair(t, dir, first, firstKey)
	certificate, err := LoadCertificate(dir, fixture.Log())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	certificate.now = func() time.Time { return now }

	for _, step := range []struct {
		name             string
		certificate, key string
		later            time.Duration
		want             string
	}{
		{"unchanged", first, firstKey, time.Hour, "first"},
		{"replaced, but looked at a moment ago", second, secondKey, time.Second, "first"},
		{"replaced", second, secondKey, 2 * time.Second, "second"},
		{"half replaced", first, secondKey, time.Hour, "second"},
		{"emptied", "", "", time.Hour, "second"},
		{"back", first, firstKey, time.Hour, "first"},
	} {
		writePair(t, dir, step.certificate, step.key)
		now = now.Add(step.later)
		if got := subject(t, certificate); got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
	}
	if err := os.Remove(filepath.Join(dir, "tls.key")); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Hour)
	if got := subject(t, certificate); got != "first" {
		t.Errorf("without its key file: %s", got)
	}
}

func TestAnExporterWithoutACertificateDoesNotStart(t *testing.T) {
	dir := t.TempDir()
	if _, err := LoadCertificate(dir, fixture.Log()); err == nil || !strings.Contains(err.Error(), "read the TLS certificate") {
		t.Errorf("no files: %v", err)
	}
	certificate, _ := fixture.CertificatePEM(t, "one", false)
	_, otherKey := fixture.CertificatePEM(t, "other", false)
	writePair(t, dir, certificate, otherKey)
	if _, err := LoadCertificate(dir, fixture.Log()); err == nil || !strings.Contains(err.Error(), "use the TLS certificate") {
		t.Errorf("another's key: %v", err)
	}
}
