// Package control is how other processes ask a running lab to do something:
// requests on a socket in its state dir, which works in the fabric, too.
package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// SocketName in the state dir.
const SocketName = "lab.sock"

// LinkRequest cuts the link between two clusters, or mends it.
type LinkRequest struct {
	Clusters [2]string `json:"clusters"`
	Cut      bool      `json:"cut"`
}

// NodeRequest stops a node as a power cut would, or starts it.
type NodeRequest struct {
	Name string `json:"name"`
	Run  bool   `json:"run"`
}

// Lab fulfils the requests.
type Lab interface {
	SetLink(ctx context.Context, request LinkRequest) error
	SetNode(ctx context.Context, request NodeRequest) error
}

// Serve requests until the context ends.
func Serve(ctx context.Context, dir string, lab Lab) error {
	listener, err := inDir(dir, func(socket string) (net.Listener, error) { return net.Listen("unix", socket) })
	if err != nil {
		return fmt.Errorf("listen for requests: %w", err)
	}
	if err := os.Chmod(filepath.Join(dir, SocketName), 0o600); err != nil {
		return errors.Join(fmt.Errorf("listen for requests: %w", err), listener.Close())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /link", handle(lab.SetLink))
	mux.HandleFunc("POST /node", handle(lab.SetNode))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	context.AfterFunc(ctx, func() { _, _ = server.Close(), os.Remove(filepath.Join(dir, SocketName)) })
	go func() { _ = server.Serve(listener) }()
	return nil
}

func handle[Request any](do func(context.Context, Request) error) http.HandlerFunc {
	return func(response http.ResponseWriter, request *http.Request) {
		var decoded Request
		err := json.NewDecoder(request.Body).Decode(&decoded)
		if err == nil {
			err = do(request.Context(), decoded)
		}
		if err != nil {
			http.Error(response, err.Error(), http.StatusUnprocessableEntity)
		}
	}
}

// SetLink asks the lab in the state dir.
func SetLink(ctx context.Context, dir string, request LinkRequest) error {
	return ask(ctx, dir, "link", request)
}

// SetNode asks the lab in the state dir.
func SetNode(ctx context.Context, dir string, request NodeRequest) error {
	return ask(ctx, dir, "node", request)
}

func ask(ctx context.Context, dir, what string, request any) error {
	content, err := json.Marshal(request)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return inDir(dir, func(socket string) (net.Conn, error) { return (&net.Dialer{}).DialContext(ctx, "unix", socket) })
	}, DisableKeepAlives: true}}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://lab/"+what, bytes.NewReader(content))
	if err != nil {
		return err
	}
	response, err := client.Do(post)
	if err != nil {
		return fmt.Errorf("ask the lab in %s, which must be running: %w", dir, err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("ask the lab in %s: %w", dir, err)
	}
	if response.StatusCode != http.StatusOK {
		return errors.New(strings.TrimSpace(string(body)))
	}
	return nil
}

// inDir calls with the socket's path by way of the opened folder: that of a
// socket has 107 bytes at most, and a state dir's may be longer.
func inDir[Result any](dir string, call func(socket string) (Result, error)) (Result, error) {
	folder, err := os.Open(dir)
	if err != nil {
		var none Result
		return none, err
	}
	defer func() { _ = folder.Close() }()
	return call(fmt.Sprintf("/proc/self/fd/%d/%s", folder.Fd(), SocketName))
}
