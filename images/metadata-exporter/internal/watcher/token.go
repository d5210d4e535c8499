package watcher

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/deckhouse-mesh/istio/lib/authn"
)

const (
	// PrivateKeyFile is the file in the authn directory that signs tokens.
	PrivateKeyFile = "priv.pem"

	// A token is checked when a request arrives; what it lives longer covers
	// clocks that differ and time on the way.
	tokenLifetime = 5 * time.Minute
)

// Signer makes this cluster's tokens. The key is read for each of them, about
// once a minute for a peer, so a replaced Secret needs no restart.
type Signer struct {
	// Dir holds PrivateKeyFile.
	Dir string
	// ClusterUUID of this cluster.
	ClusterUUID string
}

// Token makes a token of that scope for the cluster with that UUID.
func (s Signer) Token(audience, scope string) (string, error) {
	file := filepath.Join(s.Dir, PrivateKeyFile)
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read this cluster's private key: %w", err)
	}
	key, err := authn.ParsePrivateKey(string(text))
	if err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	now := time.Now()
	return authn.Sign(key, authn.Token{
		Subject: s.ClusterUUID, Audience: audience, Scope: scope,
		NotBefore: now, Expires: now.Add(tokenLifetime),
	})
}
