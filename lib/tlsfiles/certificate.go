// Package tlsfiles reads certificates from files that others replace, as the
// kubelet does with a mounted Secret. It reads files again when they are needed, at
// most every two seconds, and compares them by content: it trusts no time stamp and
// does nothing in the background.
package tlsfiles

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"
)

// Certificate is a certificate and its key, in tls.crt and tls.key of a folder.
type Certificate struct {
	watched[*tls.Certificate]
}

// LoadCertificate reads the certificate in dir; what names it in messages. It must
// exist and be usable now; later an invalid one does not replace it.
func LoadCertificate(what, dir string, log *slog.Logger) (*Certificate, error) {
	certificate := WatchCertificate(what, dir, log)
	certificate.optional = false
	if _, err := certificate.load(); err != nil {
		return nil, err
	}
	certificate.checked = time.Now()
	return certificate, nil
}

// WatchCertificate is LoadCertificate for a certificate that may be missing, now or later.
func WatchCertificate(what, dir string, log *slog.Logger) *Certificate {
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	return &Certificate{watched[*tls.Certificate]{
		what: what, files: []string{certFile, keyFile}, optional: true, log: log, now: time.Now,
		parse: func(texts [][]byte) (*tls.Certificate, error) {
			pair, err := tls.X509KeyPair(texts[0], texts[1])
			if err != nil {
				return nil, fmt.Errorf("use the %s %s with %s: %w", what, certFile, keyFile, err)
			}
			return &pair, nil
		},
	}}
}

// Get is for tls.Config.GetCertificate.
func (c *Certificate) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.Current(), nil }

// Current returns the certificate to use now; nil when an optional one is missing.
func (c *Certificate) Current() *tls.Certificate {
	current, changed := c.get()
	switch {
	case changed && current != nil:
		c.log.Info("certificate replaced", "which", c.what, "notAfter", current.Leaf.NotAfter)
	case changed:
		c.log.Info("certificate removed", "which", c.what)
	}
	return current
}
