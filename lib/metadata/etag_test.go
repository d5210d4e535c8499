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

func TestATagThatCoversAnotherDocumentDependsOnBoth(t *testing.T) {
	body, covered := []byte(`{"a":1}`), metadata.ETag([]byte(`{"b":1}`))
	tag := metadata.ETagCovering(body, covered)
	if again := metadata.ETagCovering(body, covered); again != tag {
		t.Errorf("the same bytes beside the same document have tags %s and %s", tag, again)
	}
	for name, other := range map[string]string{
		"the document alone":                   metadata.ETag(body),
		"other bytes beside the same document": metadata.ETagCovering([]byte(`{"a":2}`), covered),
		"the same bytes beside another":        metadata.ETagCovering(body, metadata.ETag([]byte(`{"b":2}`))),
	} {
		if other == tag {
			t.Errorf("%s has the same tag", name)
		}
	}
}
