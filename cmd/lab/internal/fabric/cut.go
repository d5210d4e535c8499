package fabric

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/plan"
)

// Pair of clusters, by their names in alphabetical order.
type Pair [2]string

// NewPair of two clusters of the lab.
func NewPair(lab *plan.Lab, one, other string) (Pair, error) {
	for _, name := range []string{one, other} {
		if _, found := lab.Cluster(name); !found {
			return Pair{}, fmt.Errorf("no cluster %q: the lab has %s", name, strings.Join(names(lab), ", "))
		}
	}
	if one == other {
		return Pair{}, errors.New("a link has two ends: name two different clusters")
	}
	return Pair{min(one, other), max(one, other)}, nil
}

func names(lab *plan.Lab) []string {
	var names []string
	for i := range lab.Clusters {
		names = append(names, lab.Clusters[i].Name)
	}
	return names
}

// SetCut cuts the link between two clusters, or mends it. While it is cut,
// nothing passes and nothing is rejected, as when a router drops packets.
func (f *Fabric) SetCut(ctx context.Context, pair Pair, cut bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.cut[pair]
	f.cut[pair] = cut
	if err := f.applyRules(ctx); err != nil {
		f.cut[pair] = before
		return fmt.Errorf("change the link between %s and %s: %w", pair[0], pair[1], err)
	}
	return nil
}

// Cuts lists the links that are cut.
func (f *Fabric) Cuts() []Pair {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cuts()
}

func (f *Fabric) cuts() []Pair {
	var pairs []Pair
	for pair, cut := range f.cut {
		if cut {
			pairs = append(pairs, pair)
		}
	}
	slices.SortFunc(pairs, func(a, b Pair) int { return slices.Compare(a[:], b[:]) })
	return pairs
}

func (f *Fabric) applyRules(ctx context.Context) error {
	return f.namespace.run(ctx, rules(f.plan, f.cuts()), "nft", "-f", "-")
}

// rules of nftables that drop what passes between clusters whose link is cut.
// The first two lines make the table new, whether it was there or not.
func rules(lab *plan.Lab, cuts []Pair) string {
	var text strings.Builder
	text.WriteString("table inet lab {}\ndelete table inet lab\ntable inet lab {\n\tchain forward {\n\t\ttype filter hook forward priority filter; policy accept;\n")
	for _, pair := range cuts {
		one, _ := lab.Cluster(pair[0])
		other, _ := lab.Cluster(pair[1])
		for _, way := range [][2]*plan.Cluster{{one, other}, {other, one}} {
			fmt.Fprintf(&text, "\t\tiifname %q oifname %q drop\n", bridgeOf(way[0]), bridgeOf(way[1]))
		}
	}
	text.WriteString("\t}\n}\n")
	return text.String()
}
