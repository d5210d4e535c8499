package documents_test

import (
	"sync"
	"testing"
	"time"

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
		t.Fatal("a new document has a version")
	}
	if !document.Set([]byte("one")) {
		t.Fatal("the first version is no change")
	}
	first := document.Current()
	if document.Set([]byte("one")) || document.Current() != first || closed(first.Superseded()) {
		t.Error("equal bytes made a new version")
	}
	if !document.Set([]byte("two")) || !closed(first.Superseded()) {
		t.Error("other bytes did not supersede the version")
	}
	second := document.Current()
	if second.ETag == first.ETag || second.Number != 2 || closed(second.Superseded()) {
		t.Errorf("second version: %+v after %+v", second, first)
	}
	if !document.Withdraw() || document.Current() != nil || !closed(second.Superseded()) {
		t.Error("withdrawing did not supersede the version")
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
	const readers = 500
	for range readers {
		version := document.Current()
		woken.Go(func() { <-version.Superseded() })
	}
	document.Set([]byte("two"))
	all := make(chan struct{})
	go func() {
		woken.Wait()
		close(all)
	}()
	select {
	case <-all:
	case <-time.After(10 * time.Second):
		t.Errorf("after 10s not all %d readers of the first version were woken by the second", readers)
	}
}

func TestADocumentBesideAnotherChangesWithBoth(t *testing.T) {
	var public, private documents.Document
	private.SetBeside(&public, []byte("one"))
	alone := private.Current()
	public.Set([]byte("public"))
	if !private.SetBeside(&public, []byte("one")) || !closed(alone.Superseded()) || private.Current().ETag == alone.ETag {
		t.Errorf("the other one was set: %+v after %+v", private.Current(), alone)
	}
	first := private.Current()
	if private.SetBeside(&public, []byte("one")) || private.Current() != first {
		t.Error("two unchanged documents made a new version")
	}
	public.Set([]byte("other"))
	if !private.SetBeside(&public, []byte("one")) || !closed(first.Superseded()) || private.Current().ETag == first.ETag {
		t.Errorf("the other one has changed: %+v after %+v", private.Current(), first)
	}
	public.Set([]byte("public"))
	private.SetBeside(&public, []byte("one"))
	if private.Current().ETag != first.ETag {
		t.Error("the tag depends on more than the two documents, such as how often they changed")
	}
}
