package clientcert

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"slices"
	"time"
)

// Problems of a client certificate. The caller gets these messages: each says
// what to change, none reveals which peers this cluster knows.
var (
	ErrMissing     = errors.New("no client certificate")
	ErrMalformed   = errors.New("the client certificate cannot be read, or its chain is too long")
	ErrName        = errors.New("the client certificate's subject is not CN=" + CommonName)
	ErrUse         = errors.New("the client certificate is not one for client authentication")
	ErrNotYetValid = errors.New("the client certificate is not valid yet: compare the clocks of both clusters")
	ErrExpired     = errors.New("the client certificate has expired")
	// ErrUnknownCaller covers an unknown issuer, one that is known but may
	// not read this, and a chain that is incomplete: distinct messages would reveal
	// which peers are known.
	ErrUnknownCaller = errors.New("the client certificate does not lead to the root of a peer of this cluster")
)

// Anchor is a peer's root: the SHA-256 of its public key, which outlives a
// root that is renewed.
type Anchor [sha256.Size]byte

// Caller is what a client certificate proves.
type Caller struct {
	// Anchors that the certificate leads to, at least one.
	Anchors []Anchor
	// Owners of these roots, sorted; clusters may share a root.
	Owners []string
}

// Anchors are the roots of peers, each with its owner. The zero Anchors is
// empty. Only one goroutine may call Add, and before all others read.
type Anchors struct {
	// bySubject keeps a caller from making this cluster try every peer's key.
	bySubject map[string][]*anchored
	keys      map[Anchor]bool
}

type anchored struct {
	root   *x509.Certificate
	owners []string
}

// Add makes owner one who may issue client certificates with root.
func (a *Anchors) Add(root *x509.Certificate, owner string) {
	if a.bySubject == nil {
		a.bySubject, a.keys = map[string][]*anchored{}, map[Anchor]bool{}
	}
	a.keys[AnchorOf(root)] = true
	subject := string(root.RawSubject)
	for _, known := range a.bySubject[subject] {
		if known.root.Equal(root) {
			if !slices.Contains(known.owners, owner) {
				known.owners = append(known.owners, owner)
			}
			return
		}
	}
	a.bySubject[subject] = append(a.bySubject[subject], &anchored{root, []string{owner}})
}

// Has is true while a root with this key is among the anchors.
func (a *Anchors) Has(key Anchor) bool { return a.keys[key] }

// AnchorOf returns the fingerprint of root.
func AnchorOf(root *x509.Certificate) Anchor { return sha256.Sum256(root.RawSubjectPublicKeyInfo) }

// String is the fingerprint in hexadecimal.
func (a Anchor) String() string { return hex.EncodeToString(a[:]) }

// Verify checks that chain, leaf first, is a client certificate at now that
// leads to one of the anchors. err is one of the Err variables.
func (a *Anchors) Verify(chain []*x509.Certificate, now time.Time) (Caller, error) {
	if err := checkLeaf(chain, now); err != nil {
		return Caller{}, err
	}
	candidates := a.candidates(chain)
	if len(candidates) == 0 {
		return Caller{}, ErrUnknownCaller
	}
	roots := x509.NewCertPool()
	for _, candidate := range candidates {
		roots.AddCert(candidate.root)
	}
	paths, err := pathsOf(chain, roots, now)
	if err != nil {
		return Caller{}, ErrUnknownCaller
	}
	return proved(paths, candidates), nil
}

// pathsOf returns the paths from a client certificate, the first of chain, to the roots.
func pathsOf(chain []*x509.Certificate, roots *x509.CertPool, now time.Time) ([][]*x509.Certificate, error) {
	options := x509.VerifyOptions{
		Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, intermediate := range chain[1:] {
		options.Intermediates.AddCert(intermediate)
	}
	return chain[0].Verify(options)
}

// checkLeaf checks the certificate by itself: the outcome reveals nothing about the peers
// that this cluster knows.
func checkLeaf(chain []*x509.Certificate, now time.Time) error {
	if len(chain) == 0 {
		return ErrMissing
	}
	if TooLong(chain) {
		return ErrMalformed
	}
	leaf := chain[0]
	switch {
	case !isNamed(leaf):
		return ErrName
	case leaf.IsCA, !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth):
		return ErrUse
	case now.Before(leaf.NotBefore):
		return ErrNotYetValid
	case now.After(leaf.NotAfter):
		return ErrExpired
	}
	return nil
}

// TooLong is true for a chain that no cluster needs, and that would only use memory.
func TooLong(chain []*x509.Certificate) bool {
	size := 0
	for _, certificate := range chain {
		size += len(certificate.Raw)
	}
	return len(chain) > MaxChainLength || size > MaxChainBytes
}

var commonNameType = asn1.ObjectIdentifier{2, 5, 4, 3}

// isNamed is true when the subject has one common name, and it is CommonName.
func isNamed(leaf *x509.Certificate) bool {
	names := 0
	for _, attribute := range leaf.Subject.Names {
		if attribute.Type.Equal(commonNameType) {
			if attribute.Value != CommonName {
				return false
			}
			names++
		}
	}
	return names == 1
}

// candidates are the anchors that can have issued one of chain's certificates:
// the subject is the issuer's, and key identifiers, where both are there, agree.
func (a *Anchors) candidates(chain []*x509.Certificate) []*anchored {
	var found []*anchored
	for _, certificate := range chain {
		for _, candidate := range a.bySubject[string(certificate.RawIssuer)] {
			wanted, offered := certificate.AuthorityKeyId, candidate.root.SubjectKeyId
			fits := len(wanted) == 0 || len(offered) == 0 || bytes.Equal(wanted, offered)
			if fits && !slices.Contains(found, candidate) {
				found = append(found, candidate)
			}
		}
	}
	return found
}

func proved(paths [][]*x509.Certificate, candidates []*anchored) Caller {
	var caller Caller
	for _, path := range paths {
		root := path[len(path)-1]
		for _, candidate := range candidates {
			if candidate.root.Equal(root) {
				caller.Anchors = append(caller.Anchors, AnchorOf(root))
				caller.Owners = append(caller.Owners, candidate.owners...)
			}
		}
	}
	slices.SortFunc(caller.Anchors, func(a, b Anchor) int { return bytes.Compare(a[:], b[:]) })
	slices.Sort(caller.Owners)
	caller.Anchors, caller.Owners = slices.Compact(caller.Anchors), slices.Compact(caller.Owners)
	return caller
}
