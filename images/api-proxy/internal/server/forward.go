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

	// A piece of a list, and of a watch, which mostly are small and many.
	listPiece, watchPiece = 64 << 10, 8 << 10
)

// passed are the headers of the API server's answer that the peer gets.
// Everything else stays here: who served it, audit IDs, cookies, challenges.
var passed = []string{"Content-Type", "Content-Encoding", "Content-Length", "Vary", "Cache-Control", "Retry-After"}

// forward asks the API server and passes its answer on as it comes.
func (e *exchange) forward(ctx context.Context) int {
	outgoing := upstream.Request{
		Request: e.asked, Peer: e.name,
		Accept: e.r.Header.Get("Accept"), AcceptEncoding: e.r.Header.Get("Accept-Encoding"),
	}
	if e.asked.Verb == requests.Create {
		var refusal *requests.Refusal
		if outgoing.ContentType, outgoing.Body, refusal = readReview(e.w, e.r); refusal != nil {
			return e.refuse(refusal)
		}
	}
	began := time.Now()
	response, err := e.Upstream.Do(ctx, outgoing)
	if err != nil {
		return e.unanswered(ctx, err)
	}
	defer func() { _ = response.Body.Close() }()
	e.Metrics.UpstreamSeconds.WithLabelValues(string(e.asked.Verb)).Observe(time.Since(began).Seconds())
	// Neither a redirect nor another protocol is an answer of this API.
	if response.StatusCode < 200 || response.StatusCode >= 300 && response.StatusCode < 400 {
		e.Metrics.UpstreamErrors.WithLabelValues("unexpected-answer").Inc()
		return e.status(http.StatusBadGateway, "the API server gave an answer that the proxy does not pass on")
	}
	headersOfOurs(e.w)
	for _, name := range passed {
		if values := response.Header.Values(name); len(values) > 0 {
			e.w.Header()[name] = values
		}
	}
	e.w.WriteHeader(response.StatusCode)
	return e.pass(ctx, response)
}

// pass sends the answer's body. A watch is flushed after every piece, and ends
// like any watch does when it must end early; anything else that is cut short
// is aborted, so that no one takes the half for the whole.
func (e *exchange) pass(ctx context.Context, response *http.Response) int {
	watching := e.asked.Verb == requests.Watch && response.StatusCode == http.StatusOK
	writer := e.patientWriter(ctx)
	defer writer.finish()
	defer func() { e.Metrics.Sent.WithLabelValues(e.name).Add(float64(writer.sent)) }()

	send := func(piece []byte) error { _, err := writer.Write(piece); return err }
	pool, read := &listPieces, readFull
	if watching {
		pool, read, send = &watchPieces, io.Reader.Read, writer.writeAndFlush
		if writer.FlushError() != nil { // its holder waits for the headers
			return statusPeerGone
		}
	}
	piece := pool.Get().(*[]byte) //nolint:forcetypeassert // pools hold nothing else
	defer pool.Put(piece)

	for {
		count, readErr := read(response.Body, *piece)
		if count > 0 {
			switch err := send((*piece)[:count]); {
			case errors.Is(err, errOver):
				readErr = err
			case err != nil:
				return statusPeerGone
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

// readFull gathers a piece. The API server encodes a list object by object, in
// frames of few KiB; to pass on each as it comes costs a third more CPU time.
func readFull(from io.Reader, piece []byte) (count int, err error) {
	for count < len(piece) && err == nil {
		var more int
		more, err = from.Read(piece[count:])
		count += more
	}
	return count, err
}

// unanswered is for a request that got no answer from the API server.
func (e *exchange) unanswered(ctx context.Context, err error) int {
	cause := context.Cause(ctx)
	switch {
	case errors.Is(err, upstream.ErrCredentials):
		e.Metrics.UpstreamErrors.WithLabelValues("credentials").Inc()
		e.Log.Error("the API server refuses the token of the proxy's ServiceAccount", "error", err)
		return e.later("", "the proxy cannot prove itself to its own API server")
	case errors.Is(cause, errWithdrawn):
		return e.unauthorized(errWithdrawn)
	case errors.Is(cause, errStopping):
		return e.later("", "this replica is stopping; another one answers")
	case errors.Is(cause, errTooLong):
		e.Metrics.UpstreamErrors.WithLabelValues("timeout").Inc()
		return e.status(http.StatusGatewayTimeout, "the API server took too long")
	case e.r.Context().Err() != nil:
		return statusPeerGone
	default:
		e.Metrics.UpstreamErrors.WithLabelValues("unreachable").Inc()
		e.Log.Error("the API server does not answer", "peer", e.name, "resource", e.asked.Label(), "error", err)
		return e.later("", "the API server cannot be reached")
	}
}

// readReview takes the body into memory, so that what is sent on has exactly
// one length whatever the caller wrote about it.
func readReview(w http.ResponseWriter, r *http.Request) (contentType string, body []byte, refusal *requests.Refusal) {
	contentType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || contentType != runtime.ContentTypeJSON && contentType != runtime.ContentTypeProtobuf || r.Header.Get("Content-Encoding") != "" {
		return "", nil, &requests.Refusal{
			Reason: "body", Code: http.StatusUnsupportedMediaType, Message: "a review is plain JSON or Kubernetes' protobuf",
		}
	}
	body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		refusal = &requests.Refusal{Reason: "body", Code: http.StatusBadRequest, Message: "the body did not arrive in whole"}
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			refusal = &requests.Refusal{Reason: "body", Code: http.StatusRequestEntityTooLarge, Message: "a review has no more than 64 KiB"}
		}
		return "", nil, refusal
	}
	// ServeHTTP has set it, and nothing is to be read any more but the end of the connection.
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
