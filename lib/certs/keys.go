package certs

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
)

// Types of PEM blocks that hold private keys.
const (
	keyType    = "PRIVATE KEY" // PKCS #8
	rsaKeyType = "RSA PRIVATE KEY"
	ecKeyType  = "EC PRIVATE KEY"
	// ecParametersType stands before a key that `openssl ecparam -genkey` has made. It names the curve, as the key does, too.
	ecParametersType = "EC PARAMETERS"
)

// Block reads the one PEM block of that type that a text holds. Errors never contain any of the text.
func Block(text, kind string) ([]byte, error) {
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("it is empty")
	}
	block, _, rest, err := next(text)
	switch {
	case err != nil:
		return nil, err
	case block.Type != kind:
		return nil, fmt.Errorf("the PEM block has type %.40q instead of %q", block.Type, kind)
	case strings.TrimSpace(rest) != "":
		return nil, errors.New("something follows its PEM block")
	}
	return block.Bytes, nil
}

// ErrNoKey says that a text is not one private key in PEM.
var ErrNoKey = errors.New("is not a PEM private key")

// ParseKey reads a private key in any form that OpenSSL writes without a passphrase. Errors never contain any of the text.
func ParseKey(text string) (crypto.Signer, error) {
	block, _, rest, err := next(text)
	if err == nil && block.Type == ecParametersType {
		block, _, rest, err = next(rest)
		if err == nil && block.Type != ecKeyType {
			return nil, fmt.Errorf("%w: a block of type %.40q follows %q", ErrNoKey, block.Type, ecParametersType)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoKey, err)
	}
	if strings.TrimSpace(rest) != "" {
		return nil, fmt.Errorf("%w: something follows the first key", ErrNoKey)
	}
	var key any
	switch block.Type {
	case keyType:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case ecKeyType:
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case rsaKeyType:
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("%w: its block has type %.40q", ErrNoKey, block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot be parsed: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot sign", key)
	}
	return signer, nil
}

// EncodeKey is the one PEM form of a private key, PKCS #8, which istiod and OpenSSL read whatever its algorithm.
func EncodeKey(key crypto.Signer) (string, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", fmt.Errorf("encode the key: %w", err)
	}
	return EncodeBlock(keyType, der), nil
}
