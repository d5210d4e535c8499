package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deckhouse-mesh/istio/lib/metadata"
)

const (
	loadArgument    = "load"
	loadConnections = 16
	loadTime        = 4 * time.Second
)

// job is what a load generator is to do, on its standard input.
type job struct{ Address, Path, Token string }

// loaded is what it did, on its standard output.
type loaded struct {
	Requests int
	Seconds  float64
	// Size of the document.
	Size int

	// cpu of the server meanwhile.
	cpu time.Duration
}

func (l loaded) perSecond() float64 { return float64(l.Requests) / l.Seconds }

// load runs this program again, as a load generator on a core of its own.
func load(ctx context.Context, taskset string, target *server, document, token string) (result loaded, err error) {
	path := target.public
	if document == metadata.FederationPath {
		path = target.private
	}
	todo, err := json.Marshal(job{target.address, path, token})
	if err != nil {
		return result, err
	}
	self, err := os.Executable()
	if err != nil {
		return result, fmt.Errorf("find the load generator: %w", err)
	}
	command := exec.CommandContext(ctx, taskset, "-c", loadCore, self, loadArgument)
	command.Env = append(os.Environ(), "GOMAXPROCS=1")
	command.Stdin, command.Stderr = bytes.NewReader(todo), os.Stderr
	output, err := command.Output()
	if err == nil {
		err = json.Unmarshal(output, &result)
	}
	if err != nil {
		return result, fmt.Errorf("load %s: %w", target.name, err)
	}
	return result, nil
}

// generateLoad is the load generator: requests one after another on each of
// its connections, with as little work as possible for each answer.
func generateLoad(in io.Reader, out io.Writer) error {
	var todo job
	if err := json.NewDecoder(in).Decode(&todo); err != nil {
		return fmt.Errorf("read what to do: %w", err)
	}
	var (
		requests atomic.Int64
		size     atomic.Int64
		running  sync.WaitGroup
		failures = make(chan error, loadConnections)
	)
	begun := time.Now()
	for range loadConnections {
		running.Go(func() {
			answered, length, err := requestUntil(todo, begun.Add(loadTime))
			requests.Add(int64(answered))
			size.Store(int64(length))
			failures <- err
		})
	}
	running.Wait()
	close(failures)
	var all error
	for err := range failures {
		all = errors.Join(all, err)
	}
	if all != nil {
		return all
	}
	return json.NewEncoder(out).Encode(loaded{Requests: int(requests.Load()), Seconds: time.Since(begun).Seconds(), Size: int(size.Load())})
}

func requestUntil(todo job, end time.Time) (answered, size int, err error) {
	connection, err := tls.Dial("tcp", todo.Address, insecure())
	if err != nil {
		return 0, 0, fmt.Errorf("connect to %s: %w", todo.Address, err)
	}
	defer func() { _ = connection.Close() }()
	if err := connection.SetDeadline(end.Add(startTimeout)); err != nil {
		return 0, 0, err
	}
	request := []byte("GET " + todo.Path + " HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer " + todo.Token + "\r\n\r\n")
	reader := bufio.NewReaderSize(connection, 64<<10)
	for time.Now().Before(end) {
		if _, err := connection.Write(request); err != nil {
			return answered, size, fmt.Errorf("ask for %s: %w", todo.Path, err)
		}
		if size, err = readAnswer(reader); err != nil {
			return answered, size, fmt.Errorf("ask for %s: %w", todo.Path, err)
		}
		answered++
	}
	return answered, size, nil
}

var contentLength = []byte("content-length:")

// readAnswer reads an answer to its end, and of its header only what is needed for that.
func readAnswer(reader *bufio.Reader) (size int, err error) {
	size = -1
	for first := true; ; first = false {
		line, err := reader.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")):
			return 0, fmt.Errorf("the answer is %q", line)
		case len(line) > len(contentLength) && bytes.EqualFold(line[:len(contentLength)], contentLength):
			size = 0
			for _, digit := range bytes.TrimSpace(line[len(contentLength):]) {
				size = size*10 + int(digit-'0')
			}
		case len(line) == 0 && size < 0:
			return 0, errors.New("the answer does not say its length")
		case len(line) == 0:
			_, err := reader.Discard(size)
			return size, err
		}
	}
}

func insecure() *tls.Config {
	// The servers are processes of this benchmark on this machine.
	return &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true} //nolint:gosec // see above
}

// download one document.
func download(ctx context.Context, address, path, token string) ([]byte, error) {
	transport := &http.Transport{TLSClientConfig: insecure(), DisableKeepAlives: true}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+path, nil)
	if err != nil {
		return nil, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := (&http.Client{Transport: transport, Timeout: startTimeout}).Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", request.URL, response.Status)
	}
	return io.ReadAll(response.Body)
}
