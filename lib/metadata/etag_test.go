package metadata_test

import (
	"regexp"
	"testing"

	"github.com/deckhouse-mesh/istio/lib/metadata"
)

func TestETagIsStrongQuotedAndDependsOnTheBytesOnly(t *testing.T) {
	first := metadata.ETag([]byte(`{"a":1}`))
	if !regexp.MustCompile(`^"[0-9a-f]{32}"$`).MatchString(first) {
		t.Errorf("ETag = %s", first)
	}
	if again := metadata.ETag([]byte(`{"a":1}`)); again != first {
		t.Errorf("the same bytes have tags %s and %s", first, again)
	}
	if other := metadata.ETag([]byte(`{"a":2}`)); other == first {
		t.Errorf("other bytes have the same tag %s", other)
	}
}
