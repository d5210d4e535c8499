package server

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

// WriteTimeout is how long a peer may take to accept one piece of an answer.
const WriteTimeout = 30 * time.Second

// errOver ends an answer whose time ended before anything more of it was begun.
var errOver = errors.New("the time of this answer is over")

// longAgo is a deadline that ends at once what waits for it.
var longAgo = time.Unix(1, 0)

// patientWriter gives each piece its time: no peer keeps an answer, and
// what is read ahead of it, for longer than that. The deadline is lifted in
// between, since a watch is silent for as long as nothing happens. When the
// answer's context ends, a piece on its way is cut off and no other begins.
//
// Who does not read is found out where the bytes leave: small pieces wait in
// net/http's buffer and leave with the flush, so this has its time, too.
type patientWriter struct {
	http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
	// streams are used for one answer each: the answer is HTTP/2's.
	streams bool
	forget  func() bool
	sent    int64

	mu sync.Mutex
	// sending tells that a piece is on its way; over, that the context has ended.
	sending, over bool
}

// patientWriter is for an answer that ctx ends. Its user calls finish.
func (e *exchange) patientWriter(ctx context.Context) *patientWriter {
	w := &patientWriter{
		ResponseWriter: e.w, control: http.NewResponseController(e.w), patience: e.WriteTimeout, streams: e.r.ProtoMajor >= 2,
	}
	w.forget = context.AfterFunc(ctx, w.cutOff)
	return w
}

// Write implements http.ResponseWriter.
func (w *patientWriter) Write(piece []byte) (count int, err error) {
	err = w.inTime(func() error {
		count, err = w.ResponseWriter.Write(piece)
		return err
	})
	w.sent += int64(count)
	return count, err
}

// FlushError is what http.ResponseController's Flush calls.
func (w *patientWriter) FlushError() error { return w.inTime(w.control.Flush) }

// writeAndFlush sends one piece of a watch.
func (w *patientWriter) writeAndFlush(piece []byte) error {
	return w.inTime(func() error {
		count, err := w.ResponseWriter.Write(piece)
		w.sent += int64(count)
		if err != nil {
			return err
		}
		return w.control.Flush()
	})
}

// finish is called at the end of the answer. What is left of it net/http sends
// after the handler, when a stream without a window would keep it for good. A
// connection of HTTP/1.1 gets no deadline that its next request would find; it
// serves nobody then, and makes room for others.
func (w *patientWriter) finish() {
	w.forget()
	if w.streams {
		w.setDeadline(time.Now().Add(w.patience))
	}
}

// Unwrap is for http.ResponseController.
func (w *patientWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *patientWriter) inTime(send func() error) error {
	if !w.begin() {
		return errOver
	}
	err := send()
	w.end(err)
	return err
}

func (w *patientWriter) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return false
	}
	w.sending = true
	w.setDeadline(time.Now().Add(w.patience))
	return true
}

// end lifts the deadline, also the one of cutOff that came too late to cut
// anything off: a watch whose time is over ends like any other. After an error
// it stays, and nothing more is sent.
func (w *patientWriter) end(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sending = false
	if err == nil {
		w.setDeadline(time.Time{})
	}
}

// cutOff touches the connection only while a piece is on its way: before and
// after, there is nothing to wake, and later the connection may be another's.
func (w *patientWriter) cutOff() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	if w.sending {
		w.setDeadline(longAgo)
	}
}

func (w *patientWriter) setDeadline(at time.Time) {
	_ = w.control.SetWriteDeadline(at) // only recorders in tests do not support it
}
