// Package documents holds what the exporter serves: each document is prepared
// when something changes and only handed out afterwards.
package documents

import (
	"bytes"
	"sync"
	"sync/atomic"

	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// Version is one immutable state of a Document.
type Version struct {
	// Body must not be changed.
	Body []byte
	// ETag of Body, and of the document it was set beside; strong and quoted.
	ETag string
	// Number counts the versions of the document from 1.
	Number uint64

	superseded chan struct{}
}

// Superseded is closed when another version, or none, replaces this one. Any
// number of readers may wait for it at the cost of a channel receive each.
func (v *Version) Superseded() <-chan struct{} { return v.superseded }

// Document has a version that changes now and then, read by many. Its zero value
// has none.
type Document struct {
	current atomic.Pointer[Version]

	mu   sync.Mutex // held by writers
	last uint64
}

// Current is the version to serve, or nil when there is none.
func (d *Document) Current() *Version { return d.current.Load() }

// Set replaces the version and wakes the readers that wait for that; a body equal
// to the current one changes nothing. The caller must not change body afterwards.
func (d *Document) Set(body []byte) (changed bool) { return d.set(body, metadata.ETag(body)) }

// SetBeside is Set for a document that stands for another one, too: its version,
// and so its ETag, is a new one also when other has changed since. A peer waits
// for one document only and notices changes of both.
func (d *Document) SetBeside(other *Document, body []byte) (changed bool) {
	covered := ""
	if version := other.Current(); version != nil {
		covered = version.ETag
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
	d.current.Store(&Version{Body: body, ETag: etag, Number: d.last, superseded: make(chan struct{})})
	if previous != nil {
		close(previous.superseded)
	}
	return true
}

// Withdraw leaves the document without a version.
func (d *Document) Withdraw() (changed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	previous := d.current.Swap(nil)
	if previous != nil {
		close(previous.superseded)
	}
	return previous != nil
}
