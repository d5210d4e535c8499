package tlsfiles

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/deckhouse-mesh/istio/lib/certs"
)

// Roots is a PEM file of root certificates.
type Roots struct {
	what, file string
	log        *slog.Logger

	mu      sync.Mutex
	recheck recheck
	pem     []byte
	current *x509.CertPool
}

// WatchRoots reads roots from file, which may be missing, now or later: no
// certificate is trusted then. what names the roots in messages.
func WatchRoots(what, file string, log *slog.Logger) *Roots {
	return &Roots{what: what, file: file, log: log, recheck: recheck{now: time.Now}, current: x509.NewCertPool()}
}

// Current returns the roots to trust now; nil only of a nil Roots.
func (r *Roots) Current() *x509.CertPool {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.recheck.due() {
		r.recheck.report(r.log, r.what, r.load())
	}
	return r.current
}

func (r *Roots) load() error {
	text, err := os.ReadFile(r.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.pem, r.current = nil, x509.NewCertPool()
		return nil
	case err != nil:
		return fmt.Errorf("read the %s: %w", r.what, err)
	case bytes.Equal(text, r.pem):
		return nil
	}
	pool := x509.NewCertPool()
	if err := certs.AddTo(pool, string(text)); err != nil {
		return fmt.Errorf("read the %s: %s %w", r.what, r.file, err)
	}
	r.pem, r.current = text, pool
	return nil
}
