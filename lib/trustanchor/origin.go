package trustanchor

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // RFC 5280 makes key identifiers with it; nothing is signed
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"slices"

	"github.com/deckhouse-mesh/istio/lib/certs"
)

// keyIdentifierLength is that of RFC 7093: the leftmost 160 bits.
const keyIdentifierLength = 20

// checkOrigin rejects a root that its key has not signed, and one that goes by
// a key identifier which is not made from its key. Anyone could make the first
// about anyone's key, and the second could be mistaken for another cluster's root:
// verifiers look for an issuer by subject and key identifier, and those that
// take the first they find would no longer believe that other cluster.
func checkOrigin(root *x509.Certificate) error {
	if !certs.SelfSigned(root) {
		return errors.New("it is not signed by its own key; publish the self-signed root")
	}
	if len(root.SubjectKeyId) > 0 && !identifiesKey(root.SubjectKeyId, root.RawSubjectPublicKeyInfo) {
		return errors.New("its subject key identifier is not made from its key (RFC 5280, section 4.2.1.2; RFC 7093), so it could be another cluster's")
	}
	return nil
}

// identifiesKey is true for the identifiers that CAs make of a key: hashes of
// the key's bits, or of the whole structure that holds them.
func identifiesKey(identifier, publicKeyInfo []byte) bool {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if rest, err := asn1.Unmarshal(publicKeyInfo, &info); err != nil || len(rest) > 0 {
		return false
	}
	return slices.ContainsFunc([][]byte{info.Key.RightAlign(), publicKeyInfo}, func(hashed []byte) bool {
		bySHA1, bySHA256 := sha1.Sum(hashed), sha256.Sum256(hashed) //nolint:gosec // see above
		bySHA384, bySHA512 := sha512.Sum384(hashed), sha512.Sum512(hashed)
		for _, sum := range [][]byte{bySHA1[:], bySHA256[:], bySHA384[:], bySHA512[:]} {
			if bytes.Equal(identifier, sum) || bytes.Equal(identifier, sum[:keyIdentifierLength]) {
				return true
			}
		}
		return false
	})
}
