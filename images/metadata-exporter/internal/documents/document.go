// Package documents holds what the exporter serves: each document is prepared
// when something changes and only handed out afterwards.
package documents

import (
	"bytes"
	"sync"
	"sync/atomic"

	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// Revision is one immutable state of a Document.
type Revision struct {
	// Body must not be changed.
	Body []byte
	// ETag of Body, and of the document it was set beside; strong and quoted.
	ETag string
	// Number counts the revisions of the document from 1.
	Number uint64

	superseded chan struct{}
}

// Superseded is closed when another revision, or none, takes this one's place.
// Any number of readers may wait for it at the cost of a channel receive each.
func (r *Revision) Superseded() <-chan struct{} { return r.superseded }

// Document is a revision that changes now and then, read by many. Its zero
// value has no revision.
type Document struct {
	current atomic.Pointer[Revision]

	mu   sync.Mutex // held by writers
	last uint64
}

// Current is the revision to serve, or nil when there is none.
func (d *Document) Current() *Revision { return d.current.Load() }

// Set replaces the revision and wakes whoever waits for that; a body equal to
// the current one changes nothing. The caller gives body away.
func (d *Document) Set(body []byte) (changed bool) { return d.set(body, metadata.ETag(body)) }

// SetBeside is Set for a document that tells of another one, too: its revision,
// and so its ETag, is a new one also when other has changed since. A neighbour
// needs to wait for one document only to hear of both.
func (d *Document) SetBeside(other *Document, body []byte) (changed bool) {
	covered := ""
	if revision := other.Current(); revision != nil {
		covered = revision.ETag
	}
	return d.set(body, metadata.ETagCovering(body, covered))
}

func (d *Document) set(body []byte, etag string) (changed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	previous := d.current.Load()
	if previous != nil && previous.ETag == etag && bytes.Equal(previous.Body, body) {
		return false
	}
	d.last++
	d.current.Store(&Revision{Body: body, ETag: etag, Number: d.last, superseded: make(chan struct{})})
	if previous != nil {
		close(previous.superseded)
	}
	return true
}

// Withdraw leaves the document without a revision.
func (d *Document) Withdraw() (changed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	previous := d.current.Swap(nil)
	if previous != nil {
		close(previous.superseded)
	}
	return previous != nil
}
