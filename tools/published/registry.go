package main

import (
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/retry"
)

// loopback is a registry that only programs of this machine reach.
type loopback struct {
	host string
	stop func()
}

func startRegistry() (*loopback, error) {
	dir, err := os.MkdirTemp("", "registry-")
	if err != nil {
		return nil, fmt.Errorf("start a registry on loopback: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start a registry on loopback: %w", err), os.RemoveAll(dir))
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: registry.New(
		registry.WithReferrersSupport(true), registry.WithBlobHandler(registry.NewDiskBlobHandler(dir)), registry.Logger(stdlog.New(io.Discard, "", 0)),
	)}
	go func() { _ = server.Serve(listener) }()
	return &loopback{host: listener.Addr().String(), stop: func() {
		_ = server.Close()
		_ = os.RemoveAll(dir)
	}}, nil
}

// open returns the repository, asked with the credentials of `docker login`.
func open(repository name.Repository) (*remote.Repository, error) {
	opened, err := remote.NewRepository(repository.Name())
	if err != nil {
		return nil, err
	}
	store, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
	if err != nil {
		return nil, fmt.Errorf("read the credentials of `docker login`: %w", err)
	}
	// The same registries as those that are pushed to without TLS.
	opened.PlainHTTP = repository.Scheme() == "http"
	opened.Client = &auth.Client{Client: retry.DefaultClient, Cache: auth.NewCache(), Credential: credentials.Credential(store)}
	return opened, nil
}
