package emptylist

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/deckhouse-mesh/istio/images/api-proxy/internal/requests"
)

// bookmarkEvery is how often a watch that accepts bookmarks gets one. The API
// server sends one a minute; the proxy sends them more often, so that no proxy in
// between closes the silent connection.
const bookmarkEvery = 45 * time.Second

// Answer writes the answer to a request that is Empty and returns its status
// code. A watch is held until ctx ends or its time has passed. Errors are those of
// writing: w bounds how long a write takes, and a flush, which it must implement as
// FlushError.
func Answer(ctx context.Context, w http.ResponseWriter, request requests.Request, accept string) (code int, err error) {
	kind, known := kinds[request.Resource]
	if !known {
		return 0, fmt.Errorf("answer for %s: the resource has no empty form", request.Resource)
	}
	format, acceptable := negotiate(accept)
	if !acceptable {
		return http.StatusNotAcceptable, nil
	}
	if request.Verb == requests.Watch {
		return http.StatusOK, hold(ctx, w, request, kind, format)
	}
	body, err := runtime.Encode(format.serializer.Serializer, list(kind, format.shape))
	if err != nil {
		return 0, fmt.Errorf("encode an empty list of %s: %w", request.Resource, err)
	}
	header := w.Header()
	header.Set("Content-Type", format.serializer.MediaType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	_, err = w.Write(body)
	return http.StatusOK, err
}

// hold keeps a watch open and sends only bookmarks.
func hold(ctx context.Context, w http.ResponseWriter, request requests.Request, kind string, format format) error {
	stream := format.serializer.StreamSerializer
	contentType := format.serializer.MediaType
	if contentType != runtime.ContentTypeJSON {
		contentType += ";stream=watch"
	}
	flush := http.NewResponseController(w).Flush
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(http.StatusOK)
	if err := flush(); err != nil {
		return err
	}
	send := func(endsInitialEvents bool) error {
		frame, err := bookmarkFrame(stream, format, kind, atLeast(request.Query.Get("resourceVersion")), endsInitialEvents)
		if err != nil {
			return err
		}
		if _, err := w.Write(frame); err != nil {
			return err
		}
		return flush()
	}

	var next <-chan time.Time
	if isTrue(request.Query.Get("allowWatchBookmarks")) {
		ticker := time.NewTicker(bookmarkEvery)
		defer ticker.Stop()
		next = ticker.C
		// client-go's WatchList waits for this: all existing objects have been sent.
		if isTrue(request.Query.Get("sendInitialEvents")) {
			if err := send(true); err != nil {
				return err
			}
		}
	}
	expired := time.NewTimer(request.WatchTime())
	defer expired.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-expired.C:
			return nil
		case <-next:
			if err := send(false); err != nil {
				return err
			}
		}
	}
}

// bookmarkFrame is one frame of the stream: an event with an object inside that
// is encoded by itself, in the same format.
func bookmarkFrame(stream *runtime.StreamSerializerInfo, format format, kind, version string, endsInitialEvents bool) ([]byte, error) {
	object, err := runtime.Encode(format.serializer.Serializer, bookmark(kind, format.shape, version, endsInitialEvents))
	if err != nil {
		return nil, fmt.Errorf("encode a bookmark for %s: %w", kind, err)
	}
	var frame bytes.Buffer
	framed := stream.NewFrameWriter(&frame)
	err = stream.Encode(&metav1.WatchEvent{Type: string(watch.Bookmark), Object: runtime.RawExtension{Raw: object}}, framed)
	if err != nil {
		return nil, fmt.Errorf("encode an event of a watch of %s: %w", kind, err)
	}
	return frame.Bytes(), nil
}

// atLeast is the version that the caller has seen, if it sent one.
func atLeast(asked string) string {
	if asked == "" || asked == "0" {
		return resourceVersion
	}
	return asked
}

func isTrue(value string) bool { return value == "true" || value == "1" }
