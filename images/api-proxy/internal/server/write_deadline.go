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

// errEnded ends an answer whose context has ended before the next piece was begun.
var errEnded = errors.New("the answer has ended")

// longAgo is a deadline that ends a blocked write at once.
var longAgo = time.Unix(1, 0)

// deadlineWriter gives each piece of an answer a write deadline: no peer holds an
// answer, and what is read ahead of it, for longer. Between pieces there is no
// deadline, because a watch is silent for as long as nothing happens. When the
// answer's context ends, a piece being written is cut off and no other begins.
//
// A slow peer is detected only where bytes leave: small pieces wait in net/http's
// buffer and leave with the flush, so that a flush has a deadline, too.
type deadlineWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	// streams are used for one answer each: the answer is HTTP/2's.
	streams bool
	forget  func() bool
	sent    int64

	mu sync.Mutex
	// sending is true while a piece is being written, ended once the context has ended.
	sending, ended bool
}

// deadlineWriter is for an answer that ctx ends. Its user calls finish.
func (e *exchange) deadlineWriter(ctx context.Context) *deadlineWriter {
	w := &deadlineWriter{
		ResponseWriter: e.w, control: http.NewResponseController(e.w), timeout: e.WriteTimeout, streams: e.r.ProtoMajor >= 2,
	}
	w.forget = context.AfterFunc(ctx, w.cutOff)
	return w
}

// Write implements http.ResponseWriter.
func (w *deadlineWriter) Write(piece []byte) (count int, err error) {
	err = w.withDeadline(func() error {
		count, err = w.ResponseWriter.Write(piece)
		return err
	})
	w.sent += int64(count)
	return count, err
}

// FlushError is what http.ResponseController's Flush calls.
func (w *deadlineWriter) FlushError() error { return w.withDeadline(w.control.Flush) }

// writeAndFlush sends one piece of a watch.
func (w *deadlineWriter) writeAndFlush(piece []byte) error {
	return w.withDeadline(func() error {
		count, err := w.ResponseWriter.Write(piece)
		w.sent += int64(count)
		if err != nil {
			return err
		}
		return w.control.Flush()
	})
}

// finish is called at the end of the answer. net/http sends the rest of it after
// the handler, and a stream without a window would hold that for good. A
// connection of HTTP/1.1 gets no deadline, which its next request would inherit; it
// serves no request then, and makes room for others.
func (w *deadlineWriter) finish() {
	w.forget()
	if w.streams {
		w.setDeadline(time.Now().Add(w.timeout))
	}
}

// Unwrap is for http.ResponseController.
func (w *deadlineWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *deadlineWriter) withDeadline(send func() error) error {
	if !w.begin() {
		return errEnded
	}
	err := send()
	w.end(err)
	return err
}

func (w *deadlineWriter) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return false
	}
	w.sending = true
	w.setDeadline(time.Now().Add(w.timeout))
	return true
}

// end removes the deadline, also that of a cutOff that came too late to cut
// anything off: a watch whose time has passed ends like any other. After an error
// the deadline stays, and nothing more is sent.
func (w *deadlineWriter) end(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sending = false
	if err == nil {
		w.setDeadline(time.Time{})
	}
}

// cutOff touches the connection only while a piece is being written: before and
// after, there is nothing to wake, and later the connection may be another's.
func (w *deadlineWriter) cutOff() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	if w.sending {
		w.setDeadline(longAgo)
	}
}

func (w *deadlineWriter) setDeadline(at time.Time) {
	_ = w.control.SetWriteDeadline(at) // only recorders in tests do not support it
}
