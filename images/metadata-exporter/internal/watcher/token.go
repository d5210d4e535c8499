package watcher

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/deckhouse-mesh/istio/lib/authn"
)

// PrivateKeyFile is the file in the authn directory that signs tokens.
const PrivateKeyFile = "priv.pem"

// Signer makes this cluster's tokens. It reads the key for each of them, about once
// a minute for a peer, so a replaced Secret needs no restart.
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
	return authn.SignForPeer(key, s.ClusterUUID, audience, scope, time.Now())
}
