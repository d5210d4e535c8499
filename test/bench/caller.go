package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// longest is how long an exporter may be asked to wait.
const longest = 55

// caller is a peer that asks the cluster for its private document, over a
// connection of its own.
type caller struct {
	peer         *fakePeer
	url, cluster string
	client       *http.Client

	// etag and size of the document last read.
	etag string
	size int
}

// newCaller of the documents below the endpoint, which ends in a slash.
func newCaller(peer *fakePeer, endpoint, cluster string) *caller {
	transport := &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig:   insecure(),
	}
	return &caller{
		peer: peer, url: endpoint + metadata.FederationPath, cluster: cluster,
		client: &http.Client{Transport: transport, Timeout: (longest + 30) * time.Second},
	}
}

func (c *caller) close() { c.client.CloseIdleConnections() }

func (c *caller) token() (string, error) {
	return authn.SignForPeer(c.peer.key, c.peer.uuid, c.cluster, authn.ScopePrivateFederation, time.Now())
}

// ask for the document, which is counted and thrown away.
func (c *caller) ask(ctx context.Context, wait bool) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		return 0, err
	}
	token, err := c.token()
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	if wait {
		request.Header.Set("If-None-Match", c.etag)
		request.Header.Set("Prefer", fmt.Sprintf("wait=%d", longest))
	}
	response, err := c.client.Do(request)
	if err != nil {
		return 0, fmt.Errorf("ask the exporter as %s: %w", c.peer.name, err)
	}
	defer func() { _ = response.Body.Close() }()
	size, err := io.Copy(io.Discard, response.Body)
	if err != nil {
		return 0, fmt.Errorf("read the exporter's answer as %s: %w", c.peer.name, err)
	}
	if response.StatusCode == http.StatusOK {
		c.etag, c.size = response.Header.Get("ETag"), int(size)
	}
	return response.StatusCode, nil
}

func (c *caller) fetch(ctx context.Context) error {
	status, err := c.ask(ctx, false)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the exporter answers %s with %d", c.peer.name, status)
	}
	return err
}

// awaitAdmission waits until the peer may read and the document has something of each Service.
func (c *caller) awaitAdmission(ctx context.Context, services int) error {
	const leastOfService = 100 // bytes
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for {
		status, err := c.ask(ctx, false)
		if err == nil && status == http.StatusOK && c.size >= services*leastOfService {
			return nil
		}
		if pause(ctx, 500*time.Millisecond) != nil {
			return fmt.Errorf("the exporter does not admit %s, or lacks Services: %d, %d bytes: %w", c.peer.name, status, c.size, errors.Join(err, ctx.Err()))
		}
	}
}

type answered struct {
	at  time.Time
	err error
}

// hold asks for all callers until each has another document than before.
func hold(ctx context.Context, callers []*caller) []<-chan answered {
	all := make([]<-chan answered, 0, len(callers))
	for _, caller := range callers {
		answers := make(chan answered, 1)
		all = append(all, answers)
		go func() {
			for {
				status, err := caller.ask(ctx, true)
				switch {
				case err == nil && status == http.StatusNotModified:
					continue
				case err == nil && status != http.StatusOK:
					err = fmt.Errorf("the exporter answers %s with %d", caller.peer.name, status)
				}
				answers <- answered{time.Now(), err}
				return
			}
		}()
	}
	return all
}

// lastOf waits for all answers and returns when the last came.
func lastOf(all []<-chan answered) (last time.Time, err error) {
	for _, answers := range all {
		got := <-answers
		err = errors.Join(err, got.err)
		if got.at.After(last) {
			last = got.at
		}
	}
	return last, err
}
