package tlsfiles

import (
	"bytes"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/test/support/certtest"
)

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// authority is a certificate of that common name, and its key.
func authority(t *testing.T, name string) (certificate, key string) {
	t.Helper()
	made := certtest.NewRoot(name, time.Now())
	return made.PEM(), made.KeyPEM()
}

func writePair(t *testing.T, dir, certificate, key string) {
	t.Helper()
	write(t, filepath.Join(dir, "tls.crt"), certificate)
	write(t, filepath.Join(dir, "tls.key"), key)
}

// subject of the certificate that is used; empty when there is none.
func subject(certificate *Certificate) string {
	current := certificate.Current()
	if current == nil {
		return ""
	}
	return current.Leaf.Subject.CommonName
}

func TestACertificateFollowsItsFilesAndSurvivesBrokenOnes(t *testing.T) {
	dir := t.TempDir()
	first, firstKey := authority(t, "first")
	second, secondKey := authority(t, "second")
	writePair(t, dir, first, firstKey)
	certificate, err := LoadCertificate("TLS certificate", dir, slog.New(slog.DiscardHandler))
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
		if got := subject(certificate); got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
	}
	for _, file := range []string{"tls.key", "tls.crt"} {
		if err := os.Remove(filepath.Join(dir, file)); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Hour)
		if got := subject(certificate); got != "first" {
			t.Errorf("without its file %s: %s", file, got)
		}
	}
}

func TestARequiredCertificateThatIsMissingIsAnError(t *testing.T) {
	dir := t.TempDir()
	if _, err := LoadCertificate("TLS certificate", dir, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "read the TLS certificate") {
		t.Errorf("no files: %v", err)
	}
	certificate, _ := authority(t, "one")
	_, otherKey := authority(t, "other")
	writePair(t, dir, certificate, otherKey)
	if _, err := LoadCertificate("TLS certificate", dir, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "use the TLS certificate") {
		t.Errorf("another's key: %v", err)
	}
}

func TestAnOptionalCertificateComesAndGoes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mounted")
	var logs bytes.Buffer
	certificate := WatchCertificate("client certificate", dir, slog.New(slog.NewTextHandler(&logs, nil)))
	now := time.Now()
	certificate.now = func() time.Time { return now }
	text, key := authority(t, "client")

	for _, step := range []struct {
		name   string
		change func()
		want   string
	}{
		{"before its folder is there", func() {}, ""},
		{"once it is", func() {
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			writePair(t, dir, text, key)
		}, "client"},
		{"while it is broken", func() { writePair(t, dir, "rubbish", key) }, "client"},
		{"while it is still broken", func() {}, "client"},
		{"after it was removed", func() {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}, ""},
	} {
		step.change()
		now = now.Add(time.Hour)
		if got := subject(certificate); got != step.want {
			t.Errorf("%s: %q, want %q", step.name, got, step.want)
		}
	}
	if got := strings.Count(logs.String(), "cannot use a file"); got != 1 {
		t.Errorf("the broken one was logged %d times:\n%s", got, logs.String())
	}
}

func TestRootsFollowTheirFileAndSurviveInvalidContent(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.crt")
	roots := WatchRoots("roots", file, slog.New(slog.DiscardHandler))
	now := time.Now()
	roots.now = func() time.Time { return now }
	first, _ := authority(t, "first")
	second, _ := authority(t, "second")
	pool := func(texts ...string) *x509.CertPool {
		wanted := x509.NewCertPool()
		for _, text := range texts {
			wanted.AppendCertsFromPEM([]byte(text))
		}
		return wanted
	}
	if !roots.Current().Equal(pool()) {
		t.Error("without a file a certificate is trusted")
	}
	for _, step := range []struct {
		name, text string
		want       *x509.CertPool
	}{
		{"a file", first, pool(first)},
		{"replaced", first + second, pool(first, second)},
		{"rubbish", "rubbish", pool(first, second)},
		{"two without a newline between them", strings.TrimSpace(first) + second, pool(first, second)},
		{"back", second, pool(second)},
	} {
		write(t, file, step.text)
		now = now.Add(time.Minute)
		if !roots.Current().Equal(step.want) {
			t.Errorf("%s: other roots than wanted", step.name)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Minute)
	if !roots.Current().Equal(pool()) {
		t.Error("roots outlive their file")
	}
}
