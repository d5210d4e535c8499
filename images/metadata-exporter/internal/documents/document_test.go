package documents_test

import (
	"sync"
	"testing"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/documents"
)

func closed(channel <-chan struct{}) bool {
	select {
	case <-channel:
		return true
	default:
		return false
	}
}

func TestADocumentWakesItsReadersOnlyWhenItsBytesChange(t *testing.T) {
	var document documents.Document
	if document.Current() != nil {
		t.Fatal("a new document has a revision")
	}
	if !document.Set([]byte("one")) {
		t.Fatal("the first revision is no change")
	}
	first := document.Current()
	if document.Set([]byte("one")) || document.Current() != first || closed(first.Superseded()) {
		t.Error("equal bytes made a new revision")
	}
	if !document.Set([]byte("two")) || !closed(first.Superseded()) {
		t.Error("other bytes did not supersede the revision")
	}
	second := document.Current()
	if second.ETag == first.ETag || second.Number != 2 || closed(second.Superseded()) {
		t.Errorf("second revision: %+v after %+v", second, first)
	}
	if !document.Withdraw() || document.Current() != nil || !closed(second.Superseded()) {
		t.Error("withdrawing did not end the revision")
	}
	if document.Withdraw() {
		t.Error("withdrawing nothing is a change")
	}
	if !document.Set([]byte("two")) || document.Current().ETag != second.ETag || document.Current().Number != 3 {
		t.Errorf("after coming back: %+v", document.Current())
	}
}

func TestOneChangeWakesAllReaders(t *testing.T) {
	var document documents.Document
	document.Set([]byte("one"))
	var woken sync.WaitGroup
	for range 500 {
		revision := document.Current()
		woken.Go(func() { <-revision.Superseded() })
	}
	document.Set([]byte("two"))
	woken.Wait()
}
