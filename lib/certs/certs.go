// Package certs decides what a certificate and a private key in PEM are, for settings, peers' documents, Secrets and
// HTTP headers alike, and when a certificate is due for renewal.
//
// A text is read strictly, since programs differ in what they skip: Go's pem.Decode drops two certificates that are
// joined without a newline, OpenSSL stops at them, and istiod crashes on a block that it does not know. So a text holds
// blocks of the expected type, each boundary on a line of its own, without headers. Before a block there may be words
// (RFC 7468, section 2), as `openssl x509 -text` and bundles of system roots write them; behind the last there are none.
package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"
)

// certificateType is the PEM type of a certificate.
const certificateType = "CERTIFICATE"

// Rules bound a text of certificates. The zero value bounds nothing.
type Rules struct {
	// MaxCount of certificates.
	MaxCount int
	// MaxBytes of one certificate in DER.
	MaxBytes int
	// MaxTotalBytes of all certificates in DER.
	MaxTotalBytes int
	// NoWords rejects words before a certificate.
	NoWords bool
}

var errEmpty = errors.New("holds no PEM certificate")

// Parse reads certificates, at least one.
func Parse(text string) ([]*x509.Certificate, error) { return Rules{}.Parse(text) }

// Parse reads certificates, at least one, within the rules.
func (r Rules) Parse(text string) ([]*x509.Certificate, error) {
	var certificates []*x509.Certificate
	total := 0
	for rest := text; strings.TrimSpace(rest) != ""; {
		number := len(certificates) + 1
		if r.MaxCount > 0 && number > r.MaxCount {
			return nil, fmt.Errorf("holds more than %d certificates", r.MaxCount)
		}
		block, words, after, err := next(rest)
		switch {
		case errors.Is(err, errNoBlock) && number == 1:
			return nil, errEmpty
		case errors.Is(err, errNoBlock):
			return nil, fmt.Errorf("something that is not PEM follows certificate %d", number-1)
		case err != nil:
			return nil, fmt.Errorf("certificate %d: %w", number, err)
		case r.NoWords && words != "":
			return nil, fmt.Errorf("certificate %d: other text stands before it", number)
		case block.Type != certificateType:
			return nil, fmt.Errorf("holds a PEM block of type %.40q; only certificates belong there", block.Type)
		case r.MaxBytes > 0 && len(block.Bytes) > r.MaxBytes:
			return nil, fmt.Errorf("certificate %d has %d bytes, more than %d", number, len(block.Bytes), r.MaxBytes)
		}
		if total += len(block.Bytes); r.MaxTotalBytes > 0 && total > r.MaxTotalBytes {
			return nil, fmt.Errorf("certificates 1 to %d have %d bytes together, more than %d", number, total, r.MaxTotalBytes)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d cannot be read: %w", number, err)
		}
		certificates, rest = append(certificates, certificate), after
	}
	if len(certificates) == 0 {
		return nil, errEmpty
	}
	return certificates, nil
}

const (
	beginning = "-----BEGIN "
	dashes    = "-----"
)

var errNoBlock = errors.New("it is not PEM")

// next reads the first block of a text: the block, the words before it, and the text behind it. Errors never contain any of the text.
func next(text string) (block *pem.Block, words, after string, err error) {
	start := strings.Index(text, beginning)
	if start < 0 {
		return nil, "", "", errNoBlock
	}
	words = text[:start]
	if strings.TrimSpace(words[strings.LastIndex(words, "\n")+1:]) != "" || strings.Contains(words, dashes) {
		return nil, "", "", errors.New("its BEGIN does not begin a line: put a newline between the PEM blocks")
	}
	kind, _, closed := strings.Cut(text[start+len(beginning):], dashes)
	boundary := "\n-----END " + kind + dashes
	length := strings.Index(text[start:], boundary)
	if !closed || strings.ContainsAny(kind, "\r\n") || length < 0 {
		return nil, "", "", errors.New("its PEM block is broken or not complete")
	}
	body, rest := text[start:start+length+len(boundary)], text[start+length+len(boundary):]
	line, after, _ := strings.Cut(rest, "\n")
	if strings.TrimSpace(line) != "" {
		return nil, "", "", errors.New("something follows on the line of its END: put a newline between the PEM blocks")
	}
	block, _ = pem.Decode([]byte(body))
	switch {
	case block == nil || block.Type != kind || strings.Count(body, beginning) > 1:
		return nil, "", "", errors.New("its PEM block is broken or not complete")
	case len(block.Headers) > 0:
		return nil, "", "", errors.New("its PEM block has headers; is it encrypted?")
	}
	return block, strings.TrimSpace(words), after, nil
}

// Salvage reads every certificate that can be read, each once, and skips all else. It is for what this module has stored itself
// and can do without, never for what a person or a peer supplies.
func Salvage(text string) []*x509.Certificate {
	var certificates []*x509.Certificate
	known := map[string]bool{}
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return certificates
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if block.Type == certificateType && err == nil && !known[string(block.Bytes)] {
			known[string(block.Bytes)] = true
			certificates = append(certificates, certificate)
		}
	}
}

// Encode is the one PEM form of certificates: equal certificates are equal texts.
func Encode(certificates ...*x509.Certificate) string {
	var text strings.Builder
	for _, certificate := range certificates {
		text.WriteString(EncodeBlock(certificateType, certificate.Raw))
	}
	return text.String()
}

// EncodeBlock is one PEM block.
func EncodeBlock(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// AddTo reads certificates and adds them to roots.
func AddTo(roots *x509.CertPool, text string) error {
	certificates, err := Parse(text)
	for _, certificate := range certificates {
		roots.AddCert(certificate)
	}
	return err
}

// SelfSigned is true for a certificate that its own key has signed, as that of a root is.
func SelfSigned(certificate *x509.Certificate) bool {
	return bytes.Equal(certificate.RawIssuer, certificate.RawSubject) &&
		certificate.CheckSignature(certificate.SignatureAlgorithm, certificate.RawTBSCertificate, certificate.Signature) == nil
}

// RenewAt is when something that is valid from one time to another is due for renewal: after two thirds of its life.
func RenewAt(from, to time.Time) time.Time { return from.Add(to.Sub(from) * 2 / 3) }
