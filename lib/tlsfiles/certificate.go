// Package tlsfiles reads certificates from files that others replace, as the
// kubelet does with a mounted Secret. It reads files again when they are needed, at
// most every two seconds, and compares them by content: it trusts no time stamp and
// does nothing in the background.
package tlsfiles

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Certificate is a certificate and its key, in tls.crt and tls.key of a folder.
type Certificate struct {
	// what it is for, in messages.
	what              string
	certFile, keyFile string
	optional          bool
	log               *slog.Logger

	mu              sync.Mutex
	recheck         recheck
	certPEM, keyPEM []byte
	current         *tls.Certificate
}

// LoadCertificate reads the certificate in dir; what names it in messages. It must
// exist and be usable now; later an invalid one does not replace it.
func LoadCertificate(what, dir string, log *slog.Logger) (*Certificate, error) {
	certificate := newCertificate(what, dir, log)
	if _, err := certificate.load(); err != nil {
		return nil, err
	}
	certificate.recheck.begin()
	return certificate, nil
}

// WatchCertificate is LoadCertificate for a certificate that may be missing, now or later.
func WatchCertificate(what, dir string, log *slog.Logger) *Certificate {
	certificate := newCertificate(what, dir, log)
	certificate.optional = true
	return certificate
}

func newCertificate(what, dir string, log *slog.Logger) *Certificate {
	return &Certificate{
		what: what, certFile: filepath.Join(dir, "tls.crt"), keyFile: filepath.Join(dir, "tls.key"),
		log: log, recheck: recheck{now: time.Now},
	}
}

// Get is for tls.Config.GetCertificate.
func (c *Certificate) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.Current(), nil }

// Current returns the certificate to use now; nil when an optional one is missing.
func (c *Certificate) Current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.recheck.due() {
		changed, err := c.load()
		c.recheck.report(c.log, c.what, err)
		switch {
		case err == nil && changed && c.current != nil:
			c.log.Info("certificate replaced", "which", c.what, "notAfter", c.current.Leaf.NotAfter)
		case err == nil && changed:
			c.log.Info("certificate removed", "which", c.what)
		}
	}
	return c.current
}

func (c *Certificate) load() (changed bool, err error) {
	certPEM, certErr := os.ReadFile(c.certFile)
	keyPEM, keyErr := os.ReadFile(c.keyFile)
	if c.optional && errors.Is(certErr, fs.ErrNotExist) && errors.Is(keyErr, fs.ErrNotExist) {
		changed = c.current != nil
		c.certPEM, c.keyPEM, c.current = nil, nil, nil
		return changed, nil
	}
	if err := errors.Join(certErr, keyErr); err != nil {
		return false, fmt.Errorf("read the %s: %w", c.what, err)
	}
	if c.current != nil && bytes.Equal(certPEM, c.certPEM) && bytes.Equal(keyPEM, c.keyPEM) {
		return false, nil
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return false, fmt.Errorf("use the %s %s with %s: %w", c.what, c.certFile, c.keyFile, err)
	}
	c.certPEM, c.keyPEM, c.current = certPEM, keyPEM, &pair
	return true, nil
}
