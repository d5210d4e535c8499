package authn_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/deckhouse-mesh/istio/lib/authn"
)

func newKeypair(tb testing.TB) authn.Keypair {
	tb.Helper()
	keypair, err := authn.GenerateKeypair()
	if err != nil {
		tb.Fatal(err)
	}
	return keypair
}

func ecdsaPEM(t *testing.T, public bool) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	blockType := authn.PrivateKeyPEMType
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if public {
		blockType = authn.PublicKeyPEMType
		der, err = x509.MarshalPKIXPublicKey(&key.PublicKey)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der}))
}

func TestAGeneratedKeypairIsValidAndNew(t *testing.T) {
	first, second := newKeypair(t), newKeypair(t)
	if err := first.Validate(); err != nil {
		t.Errorf("Validate() = %v", err)
	}
	if first == second {
		t.Error("two keypairs are the same")
	}
	if !strings.HasPrefix(first.Priv, "-----BEGIN ED25519 PRIVATE KEY-----\n") ||
		!strings.HasPrefix(first.Pub, "-----BEGIN ED25519 PUBLIC KEY-----\n") {
		t.Errorf("the PEM types are not the contract's:\n%s", first.Pub)
	}
}

func TestValidateNamesTheProblem(t *testing.T) {
	good, other := newKeypair(t), newKeypair(t)
	for name, test := range map[string]struct {
		keypair authn.Keypair
		want    string
	}{
		"an empty private key":                   {authn.Keypair{Pub: good.Pub}, "private key: it is empty"},
		"an empty public key":                    {authn.Keypair{Priv: good.Priv, Pub: " \n"}, "public key: it is empty"},
		"a private key that is no PEM":           {authn.Keypair{Priv: "secret", Pub: good.Pub}, "private key: it is not PEM"},
		"the two keys swapped":                   {authn.Keypair{Priv: good.Pub, Pub: good.Priv}, `type "ED25519 PUBLIC KEY" instead of "ED25519 PRIVATE KEY"`},
		"a key of another pair":                  {authn.Keypair{Priv: good.Priv, Pub: other.Pub}, "does not belong"},
		"a public key followed by another":       {authn.Keypair{Priv: good.Priv, Pub: good.Pub + other.Pub}, "something follows"},
		"an ECDSA private key":                   {authn.Keypair{Priv: ecdsaPEM(t, false), Pub: good.Pub}, "it is a *ecdsa.PrivateKey"},
		"an ECDSA public key":                    {authn.Keypair{Priv: good.Priv, Pub: ecdsaPEM(t, true)}, "it is a *ecdsa.PublicKey"},
		"PEM that holds no PKCS#8":               {authn.Keypair{Priv: "-----BEGIN ED25519 PRIVATE KEY-----\nAAAA\n-----END ED25519 PRIVATE KEY-----\n", Pub: good.Pub}, "not PKCS#8"},
		"PEM that holds no PKIX":                 {authn.Keypair{Priv: good.Priv, Pub: "-----BEGIN ED25519 PUBLIC KEY-----\nAAAA\n-----END ED25519 PUBLIC KEY-----\n"}, "not PKIX"},
		"a public key of the general PEM type":   {authn.Keypair{Priv: good.Priv, Pub: strings.ReplaceAll(good.Pub, "ED25519 PUBLIC", "PUBLIC")}, `type "PUBLIC KEY" instead of`},
		"a private key of the general PEM type ": {authn.Keypair{Priv: strings.ReplaceAll(good.Priv, "ED25519 PRIVATE", "PRIVATE"), Pub: good.Pub}, `type "PRIVATE KEY" instead of`},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.keypair.Validate()
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("Validate() = %v, want an error with %q", err, test.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error repeats the key: %v", err)
			}
		})
	}
}
