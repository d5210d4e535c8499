// Package tunnel answers HTTP CONNECT: it joins a caller with where it wants
// to go, and copies between the two.
package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// handshakeTimeout for a caller to say where it wants to go.
const handshakeTimeout = 10 * time.Second

// Server is a proxy that understands CONNECT only.
type Server struct {
	// Usage tells whoever asks for something else what can be asked for.
	Usage string
	// Dial connects to the target of a CONNECT, host:port. The caller is told its
	// error in the status line, which is all that most callers pass on.
	Dial func(ctx context.Context, target string) (net.Conn, error)
}

// Serve callers until the context ends, which also ends every connection.
func (s Server) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.handle(ctx, w, r) }),
		ReadHeaderTimeout: handshakeTimeout,
		// What fails is told to the caller.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	// A CONNECT takes over its connection, which HTTP/2 does not have.
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (s Server) handle(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(w, s.Usage, http.StatusMethodNotAllowed)
		return
	}
	caller, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer func() { _ = caller.Close() }()
	target, err := s.Dial(ctx, r.Host)
	if err != nil {
		_, _ = fmt.Fprintf(caller, "HTTP/1.1 502 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", oneLine(err.Error()))
		return
	}
	defer func() { _ = target.Close() }()
	if _, err := io.WriteString(caller, "HTTP/1.1 200 Connection Established\r\n\r\n"); err == nil {
		join(ctx, caller, target)
	}
}

// join copies both ways until one side ends or the context does.
func join(ctx context.Context, a, b net.Conn) {
	closeBoth := func() {
		_ = a.Close()
		_ = b.Close()
	}
	stop := context.AfterFunc(ctx, closeBoth)
	defer stop()
	var both sync.WaitGroup
	for _, direction := range [][2]net.Conn{{a, b}, {b, a}} {
		both.Go(func() {
			defer closeBoth()
			_, _ = io.Copy(direction[0], direction[1])
		})
	}
	both.Wait()
}

func oneLine(text string) string {
	return strings.NewReplacer("\r", " ", "\n", " ").Replace(text)
}
