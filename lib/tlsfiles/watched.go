package tlsfiles

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// recheckAfter is how long files' content is used before they are read again.
const recheckAfter = 2 * time.Second

// watched is what files hold. Content that cannot be used does not replace it.
type watched[T any] struct {
	// what it is, in messages.
	what  string
	files []string
	// optional is true when all the files may be missing; without holds then.
	optional bool
	without  T
	parse    func(texts [][]byte) (T, error)
	log      *slog.Logger
	now      func() time.Time

	mu      sync.Mutex
	checked time.Time
	problem string
	texts   [][]byte
	current T
}

// get returns what to use now, and whether it is another than before.
func (w *watched[T]) get() (current T, changed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := w.now(); now.Sub(w.checked) >= recheckAfter {
		w.checked = now
		var err error
		changed, err = w.load()
		w.report(err)
	}
	return w.current, changed
}

func (w *watched[T]) load() (changed bool, err error) {
	texts, missing := make([][]byte, len(w.files)), w.optional
	for index, file := range w.files {
		text, readErr := os.ReadFile(file)
		texts[index], err = text, errors.Join(err, readErr)
		missing = missing && errors.Is(readErr, fs.ErrNotExist)
	}
	switch {
	case missing:
		changed = w.texts != nil
		w.texts, w.current = nil, w.without
		return changed, nil
	case err != nil:
		return false, fmt.Errorf("read the %s: %w", w.what, err)
	case slices.EqualFunc(texts, w.texts, bytes.Equal):
		return false, nil
	}
	current, err := w.parse(texts)
	if err != nil {
		return false, err
	}
	w.texts, w.current = texts, current
	return true, nil
}

// report logs err when it has changed.
func (w *watched[T]) report(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	switch {
	case text == w.problem:
	case text != "":
		w.log.Error("cannot use a file; its last good content, if there is any, stays in force", "which", w.what, "error", text)
	default:
		w.log.Info("the file can be used again", "which", w.what)
	}
	w.problem = text
}
