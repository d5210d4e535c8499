package server

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// recheckCertificate is how long a certificate is used before its files are read again.
const recheckCertificate = 2 * time.Second

// Certificate is a TLS certificate in files that others replace, as the
// kubelet does with a mounted Secret. Files are read again at a handshake, at
// most every two seconds, and compared by content: no time stamp is trusted
// and nothing runs while nobody calls.
type Certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	now               func() time.Time

	mu              sync.Mutex
	checked         time.Time
	certPEM, keyPEM []byte
	current         *tls.Certificate
}

// LoadCertificate reads tls.crt and tls.key in dir.
func LoadCertificate(dir string, log *slog.Logger) (*Certificate, error) {
	certificate := &Certificate{
		certFile: filepath.Join(dir, "tls.crt"), keyFile: filepath.Join(dir, "tls.key"),
		log: log, now: time.Now,
	}
	if _, err := certificate.load(); err != nil {
		return nil, err
	}
	certificate.checked = certificate.now()
	return certificate, nil
}

// Get is for tls.Config.GetCertificate.
func (c *Certificate) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.checked) >= recheckCertificate {
		c.checked = now
		changed, err := c.load()
		if err != nil {
			c.log.Error("the new TLS certificate cannot be used; the previous one stays", "error", err)
		} else if changed {
			c.log.Info("TLS certificate replaced", "notAfter", c.current.Leaf.NotAfter)
		}
	}
	return c.current, nil
}

func (c *Certificate) load() (changed bool, err error) {
	certPEM, err := os.ReadFile(c.certFile)
	if err != nil {
		return false, fmt.Errorf("read the TLS certificate: %w", err)
	}
	keyPEM, err := os.ReadFile(c.keyFile)
	if err != nil {
		return false, fmt.Errorf("read the TLS key: %w", err)
	}
	if bytes.Equal(certPEM, c.certPEM) && bytes.Equal(keyPEM, c.keyPEM) {
		return false, nil
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return false, fmt.Errorf("use the TLS certificate %s with %s: %w", c.certFile, c.keyFile, err)
	}
	c.certPEM, c.keyPEM, c.current = certPEM, keyPEM, &pair
	return true, nil
}
