package state

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

const lockName = "lab.lock"

// HeldError says that another lab owns the state dir.
type HeldError struct {
	Dir string
	PID int
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("a lab is running in %s already (pid %d): stop it with `lab down --state-dir %s`, or use another --state-dir", e.Dir, e.PID, e.Dir)
}

// Lock makes this process the owner of the state dir for as long as it lives.
// The lock is a POSIX record lock: the kernel drops it when the process ends,
// however it ends, and names its holder.
type Lock struct {
	file *os.File
	dir  string
}

// held are the state dirs that this process owns. It must not open their lock
// files again: closing one would drop the lock.
var held sync.Map

// Acquire takes the lock, or fails with a *HeldError.
func Acquire(dir string) (*Lock, error) {
	if _, own := held.Load(dir); own {
		return nil, &HeldError{Dir: dir, PID: os.Getpid()}
	}
	file, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock the state dir: %w", err)
	}
	request := wholeFile(syscall.F_WRLCK)
	if err := syscall.FcntlFlock(file.Fd(), syscall.F_SETLK, &request); err != nil {
		_ = file.Close()
		if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) {
			holder, _ := Holder(dir)
			return nil, &HeldError{Dir: dir, PID: holder}
		}
		return nil, fmt.Errorf("lock the state dir %s: %w", dir, err)
	}
	held.Store(dir, true)
	return &Lock{file: file, dir: dir}, nil
}

// Release gives the state dir free.
func (l *Lock) Release() error {
	held.Delete(l.dir)
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("release the state dir: %w", err)
	}
	return nil
}

// Holder is the process that owns the state dir, as the kernel knows it; 0 when none does.
func Holder(dir string) (int, error) {
	if _, own := held.Load(dir); own {
		return os.Getpid(), nil
	}
	file, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look for the lab that runs in %s: %w", dir, err)
	}
	defer func() { _ = file.Close() }()
	request := wholeFile(syscall.F_WRLCK)
	if err := syscall.FcntlFlock(file.Fd(), syscall.F_GETLK, &request); err != nil {
		return 0, fmt.Errorf("look for the lab that runs in %s: %w", dir, err)
	}
	if request.Type == syscall.F_UNLCK {
		return 0, nil
	}
	return int(request.Pid), nil
}

func wholeFile(kind int16) syscall.Flock_t {
	return syscall.Flock_t{Type: kind, Whence: io.SeekStart}
}
