package server

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/requests"
	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/upstream"
)

const (
	// maxBody of a review, in bytes: a token has a few thousand.
	maxBody = 64 << 10
	// bodyTimeout is how long it may take to arrive.
	bodyTimeout = 5 * time.Second

	// Sizes of a piece of a list, and of a watch, whose pieces are mostly small.
	listPiece, watchPiece = 64 << 10, 8 << 10
)

// forwarded are the headers of the API server's answer that the peer gets. The
// others stay here: server names, audit IDs, cookies, challenges.
var forwarded = []string{"Content-Type", "Content-Encoding", "Content-Length", "Vary", "Cache-Control", "Retry-After"}

// forward asks the API server and forwards its answer as it arrives.
func (e *exchange) forward(ctx context.Context) int {
	outgoing := upstream.Request{
		Request: e.asked, Peer: e.name,
		Accept: e.r.Header.Get("Accept"), AcceptEncoding: e.r.Header.Get("Accept-Encoding"),
	}
	if e.asked.Verb == requests.Create {
		var rejection *requests.Rejection
		if outgoing.ContentType, outgoing.Body, rejection = readReview(e.w, e.r); rejection != nil {
			return e.reject(rejection)
		}
	}
	began := time.Now()
	response, err := e.Upstream.Do(ctx, outgoing)
	if err != nil {
		return e.unanswered(ctx, err)
	}
	defer func() { _ = response.Body.Close() }()
	e.Metrics.UpstreamSeconds.WithLabelValues(string(e.asked.Verb)).Observe(time.Since(began).Seconds())
	// Neither a redirect nor a change of protocol is an answer of this API.
	if response.StatusCode < 200 || response.StatusCode >= 300 && response.StatusCode < 400 {
		e.Metrics.UpstreamErrors.WithLabelValues("unexpected-answer").Inc()
		return e.status(http.StatusBadGateway, "the API server gave an answer that the proxy does not forward")
	}
	setCommonHeaders(e.w)
	for _, name := range forwarded {
		if values := response.Header.Values(name); len(values) > 0 {
			e.w.Header()[name] = values
		}
	}
	e.w.WriteHeader(response.StatusCode)
	return e.copyBody(ctx, response)
}

// copyBody sends the answer's body. A watch is flushed after every piece, and ends
// regularly when it must end early; any other answer that is cut short is aborted,
// so that nobody mistakes a part for the whole.
func (e *exchange) copyBody(ctx context.Context, response *http.Response) int {
	watching := e.asked.Verb == requests.Watch && response.StatusCode == http.StatusOK
	writer := e.deadlineWriter(ctx)
	defer writer.finish()
	defer func() { e.Metrics.Sent.WithLabelValues(e.name).Add(float64(writer.sent)) }()

	send := func(piece []byte) error { _, err := writer.Write(piece); return err }
	pool, read := &listPieces, readFull
	if watching {
		pool, read, send = &watchPieces, io.Reader.Read, writer.writeAndFlush
		if writer.FlushError() != nil { // its caller waits for the headers
			return statusCallerGone
		}
	}
	piece := pool.Get().(*[]byte) //nolint:forcetypeassert // pools hold nothing else
	defer pool.Put(piece)

	for {
		count, readErr := read(response.Body, *piece)
		if count > 0 {
			switch err := send((*piece)[:count]); {
			case errors.Is(err, errEnded):
				readErr = err
			case err != nil:
				return statusCallerGone
			}
		}
		switch {
		case readErr == nil:
		case errors.Is(readErr, io.EOF), watching:
			return response.StatusCode
		default:
			e.Log.Debug("an answer was cut short", "peer", e.name, "resource", e.asked.Label(), "error", readErr, "cause", context.Cause(ctx))
			panic(http.ErrAbortHandler)
		}
	}
}

// readFull reads a whole piece. The API server encodes a list object by object, in
// frames of few KiB; forwarding each of them costs a third more CPU time.
func readFull(from io.Reader, piece []byte) (count int, err error) {
	for count < len(piece) && err == nil {
		var more int
		more, err = from.Read(piece[count:])
		count += more
	}
	return count, err
}

// unanswered answers a request that got no answer from the API server.
func (e *exchange) unanswered(ctx context.Context, err error) int {
	cause := context.Cause(ctx)
	switch {
	case errors.Is(err, upstream.ErrCredentials):
		e.Metrics.UpstreamErrors.WithLabelValues("credentials").Inc()
		e.Log.Error("the API server rejects the token of the proxy's ServiceAccount", "error", err)
		return e.later("", "the API server rejects the proxy's own credentials")
	case errors.Is(cause, errWithdrawn):
		return e.unauthorized(errWithdrawn)
	case errors.Is(cause, errStopping):
		return e.later("", "this replica is stopping; retry at another one")
	case errors.Is(cause, errTooLong):
		e.Metrics.UpstreamErrors.WithLabelValues("timeout").Inc()
		return e.status(http.StatusGatewayTimeout, "the API server took too long to answer")
	case e.r.Context().Err() != nil:
		return statusCallerGone
	default:
		e.Metrics.UpstreamErrors.WithLabelValues("unreachable").Inc()
		e.Log.Error("the API server does not answer", "peer", e.name, "resource", e.asked.Label(), "error", err)
		return e.later("", "the API server cannot be reached")
	}
}

// readReview reads the body into memory, so that the forwarded request has exactly
// one length, whatever lengths the caller sent.
func readReview(w http.ResponseWriter, r *http.Request) (contentType string, body []byte, rejection *requests.Rejection) {
	contentType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || contentType != runtime.ContentTypeJSON && contentType != runtime.ContentTypeProtobuf || r.Header.Get("Content-Encoding") != "" {
		return "", nil, &requests.Rejection{
			Reason: "body", Code: http.StatusUnsupportedMediaType, Message: "a review must be plain JSON or Kubernetes' protobuf",
		}
	}
	body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		rejection = &requests.Rejection{Reason: "body", Code: http.StatusBadRequest, Message: "the body did not arrive completely"}
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			rejection = &requests.Rejection{Reason: "body", Code: http.StatusRequestEntityTooLarge, Message: "a review must not have more than 64 KiB"}
		}
		return "", nil, rejection
	}
	// ServeHTTP has set it; after the body only the end of the connection is read.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return contentType, body, nil
}

func newPieces(size int) sync.Pool {
	return sync.Pool{New: func() any {
		piece := make([]byte, size)
		return &piece
	}}
}

var listPieces, watchPieces = newPieces(listPiece), newPieces(watchPiece)
