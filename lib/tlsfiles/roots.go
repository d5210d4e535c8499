package tlsfiles

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"time"

	"github.com/deckhouse-mesh/istio/lib/certs"
)

// Roots is a PEM file of root certificates.
type Roots struct {
	watched[*x509.CertPool]
}

// WatchRoots reads roots from file, which may be missing, now or later: no
// certificate is trusted then. what names the roots in messages.
func WatchRoots(what, file string, log *slog.Logger) *Roots {
	none := x509.NewCertPool()
	return &Roots{watched[*x509.CertPool]{
		what: what, files: []string{file}, optional: true, without: none, current: none, log: log, now: time.Now,
		parse: func(texts [][]byte) (*x509.CertPool, error) {
			pool := x509.NewCertPool()
			if err := certs.AddTo(pool, string(texts[0])); err != nil {
				return nil, fmt.Errorf("read the %s: %s %w", what, file, err)
			}
			return pool, nil
		},
	}}
}

// Current returns the roots to trust now; nil only of a nil Roots.
func (r *Roots) Current() *x509.CertPool {
	if r == nil {
		return nil
	}
	current, _ := r.get()
	return current
}
