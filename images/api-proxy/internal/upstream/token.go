package upstream

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// reread is how long a token is used before its file is read again. The kubelet
// replaces a token when a fifth of its lifetime is left, which is minutes at least.
const reread = 10 * time.Second

// tokenFile is the proxy's own credential, a file that the kubelet replaces.
type tokenFile struct {
	path string
	log  *slog.Logger
	now  func() time.Time

	mu      sync.Mutex
	read    time.Time
	current string
}

func openTokenFile(path string, log *slog.Logger, now func() time.Time) (*tokenFile, error) {
	f := &tokenFile{path: path, log: log, now: now}
	token, err := f.load()
	if err != nil {
		return nil, err
	}
	f.current, f.read = token, now()
	return f, nil
}

// token is the current one. While the file cannot be read the last one stays in
// use, for as long as the API server accepts it.
func (f *tokenFile) token() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := f.now(); now.Sub(f.read) >= reread {
		f.refresh(now)
	}
	return f.current
}

// replaced reads the file at once, after the API server has rejected the token
// used; true means that there is another now.
func (f *tokenFile) replaced(used string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current == used {
		f.refresh(f.now())
	}
	return f.current != used
}

func (f *tokenFile) refresh(now time.Time) {
	f.read = now
	token, err := f.load()
	if err != nil {
		f.log.Error("cannot read the token of the ServiceAccount; the previous one stays in use", "error", err)
		return
	}
	f.current = token
}

func (f *tokenFile) load() (string, error) {
	content, err := os.ReadFile(f.path)
	if err != nil {
		return "", fmt.Errorf("read the ServiceAccount's token: %w", err)
	}
	token := strings.TrimSpace(string(content))
	if token == "" {
		return "", fmt.Errorf("read the ServiceAccount's token: %s is empty", f.path)
	}
	return token, nil
}
