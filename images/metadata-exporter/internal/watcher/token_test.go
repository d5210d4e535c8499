package watcher_test

import (
	"crypto/ed25519"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/watcher"
	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

func TestATokenIsValidForAPeerWhoseClockIsBehind(t *testing.T) {
	a := peerstest.NewPeer(t, "a")
	dir := t.TempDir()
	writeFile(t, dir, watcher.PrivateKeyFile, a.Keys.Priv)
	token, err := watcher.Signer{Dir: dir, ClusterUUID: a.UUID}.Token("uuid-b", authn.ScopePrivateFederation)
	if err != nil {
		t.Fatal(err)
	}
	// Verifiers of this module allow MaxClockSkew by themselves; a peer need not.
	behind := 2*authn.MaxClockSkew - 5*time.Second
	verifier := authn.Verifier{
		Audience: "uuid-b",
		Now:      func() time.Time { return time.Now().Add(-behind) },
		Key:      func(string) (ed25519.PublicKey, bool) { return a.Private.Public().(ed25519.PublicKey), true },
	}
	if subject, err := verifier.Verify(token, authn.ScopePrivateFederation); err != nil || subject != a.UUID {
		t.Errorf("a peer whose clock is %s behind: subject %q, %v", behind, subject, err)
	}
}
