package peers

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/deckhouse-mesh/istio/lib/clientcert"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

const (
	// maxNamedRoots of one resource are remembered, and of all: a peer that
	// changes its roots all the time fills neither the Secret nor others' share.
	maxNamedRoots    = 256
	maxAllNamedRoots = 4096
	// ThisCluster is the owner of this cluster's own roots.
	ThisCluster = "this cluster"
	// shared stands for the name of a root that more than one has named.
	shared = "*"
)

// NamedRoots remembers who ever named which root as its own: a name by the root's
// fingerprint. A root that two have named is shared for ever. A certificate under
// it is proof of neither, also when only one of them is left.
type NamedRoots map[string]string

// ParseNamedRoots reads what Encode wrote; empty content is empty memory.
func ParseNamedRoots(content []byte) (NamedRoots, error) {
	named := NamedRoots{}
	if len(content) == 0 {
		return named, nil
	}
	if err := json.Unmarshal(content, &named); err != nil {
		return nil, fmt.Errorf("decode who named which root: %w", err)
	}
	if named == nil {
		named = NamedRoots{}
	}
	return named, nil
}

// Encode writes the same bytes for the same memory.
func (n NamedRoots) Encode() ([]byte, error) {
	encoded, err := json.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("encode who named which root: %w", err)
	}
	return encoded, nil
}

// Owner is a name of bounded length for who names the roots of the entry: the same
// resource of the same cluster, also after somebody has created it anew.
func (e Entry) Owner() string {
	sum := sha256.Sum256([]byte(strings.Join([]string{e.Kind, e.Name, e.ClusterUUID}, "\n")))
	return hex.EncodeToString(sum[:sha256.Size/2])
}

// Name remembers that owner names the roots in the PEM text rootCA. Text that
// is no list of roots counts as none: no certificate is accepted under it.
func (n NamedRoots) Name(owner, rootCA string) {
	for _, fingerprint := range fingerprints(rootCA) {
		switch namer, known := n[fingerprint]; {
		case !known && n.hasRoom(owner):
			n[fingerprint] = owner
		case known && namer != owner:
			n[fingerprint] = shared
		}
	}
}

func (n NamedRoots) hasRoom(owner string) bool {
	if len(n) >= maxAllNamedRoots {
		return false
	}
	count := 0
	for _, namer := range n {
		if namer == owner {
			count++
		}
	}
	return count < maxNamedRoots
}

// Shared returns the fingerprints of those roots in the PEM text rootCA that are not
// known to be owner's alone, sorted. One that found no room in memory is not.
func (n NamedRoots) Shared(owner, rootCA string) []string {
	var found []string
	for _, fingerprint := range fingerprints(rootCA) {
		if n[fingerprint] != owner {
			found = append(found, fingerprint)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// fingerprints are of the public keys: a root that is renewed with its key is the same.
func fingerprints(rootCA string) []string {
	roots, err := metadata.ParseRoots(rootCA, time.Time{})
	if err != nil {
		return nil
	}
	found := make([]string, 0, len(roots))
	for _, root := range roots {
		found = append(found, clientcert.AnchorOf(root).String())
	}
	return found
}
