// Package authn is how clusters prove their identity to their peers with bearer
// tokens: the Ed25519 keypair of a cluster, the tokens it signs, and their
// verification. The rules are the contract's section "Who is a peer".
package authn

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/deckhouse-mesh/istio/lib/certs"
)

const (
	// PrivateKeyPEMType is the PEM type of Keypair.Priv; it holds PKCS#8.
	PrivateKeyPEMType = "ED25519 PRIVATE KEY"
	// PublicKeyPEMType is the PEM type of Keypair.Pub; it holds PKIX.
	PublicKeyPEMType = "ED25519 PUBLIC KEY"
)

// Keypair is a cluster's Ed25519 keypair in PEM, as the Secret d8-remote-authn-keypair holds it.
type Keypair struct {
	Priv string `json:"priv"`
	Pub  string `json:"pub"`
}

// GenerateKeypair makes a new keypair from the system's randomness.
func GenerateKeypair() (Keypair, error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Keypair{}, fmt.Errorf("generate an Ed25519 keypair: %w", err)
	}
	privDER, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		return Keypair{}, fmt.Errorf("encode the Ed25519 private key: %w", err)
	}
	encoded, err := EncodePublicKey(pub)
	if err != nil {
		return Keypair{}, err
	}
	return Keypair{Priv: certs.EncodeBlock(PrivateKeyPEMType, privDER), Pub: encoded}, nil
}

// EncodePublicKey is the one PEM form of a public key.
func EncodePublicKey(key ed25519.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("encode the Ed25519 public key: %w", err)
	}
	return certs.EncodeBlock(PublicKeyPEMType, der), nil
}

// Validate checks that both keys can be read and belong together.
func (k Keypair) Validate() error {
	priv, privErr := ParsePrivateKey(k.Priv)
	pub, pubErr := ParsePublicKey(k.Pub)
	if err := errors.Join(privErr, pubErr); err != nil {
		return err
	}
	if !pub.Equal(priv.Public()) {
		return errors.New("the Ed25519 public key does not belong to the private key")
	}
	return nil
}

// ParsePrivateKey reads the one PEM block of type PrivateKeyPEMType in text.
// Errors never contain any of text.
func ParsePrivateKey(text string) (ed25519.PrivateKey, error) {
	der, err := certs.Block(text, PrivateKeyPEMType)
	if err != nil {
		return nil, fmt.Errorf("read the Ed25519 private key: %w", err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("read the Ed25519 private key: not PKCS#8: %w", err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("read the Ed25519 private key: it is a %T", parsed)
	}
	return key, nil
}

// ParsePublicKey reads the one PEM block of type PublicKeyPEMType in text.
func ParsePublicKey(text string) (ed25519.PublicKey, error) {
	der, err := certs.Block(text, PublicKeyPEMType)
	if err != nil {
		return nil, fmt.Errorf("read the Ed25519 public key: %w", err)
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("read the Ed25519 public key: not PKIX: %w", err)
	}
	key, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("read the Ed25519 public key: it is a %T", parsed)
	}
	return key, nil
}
