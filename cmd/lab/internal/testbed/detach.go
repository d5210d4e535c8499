package testbed

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

const (
	// readyFD is where a detached lab reports its progress; readyLine there means that all is up.
	readyFD   = 3
	readyLine = "\x00ready"
	// LogName of a detached lab's log in its state dir.
	LogName = "lab.log"
)

// Detach runs this program again with the arguments, in a session of its own,
// shows its progress until it is ready, and returns while it runs on. When it
// fails instead, or the context ends, it is stopped and an error is returned.
func Detach(ctx context.Context, stateDir string, args []string, out io.Writer) error {
	if err := os.MkdirAll(stateDir, 0o755); err != nil {
		return fmt.Errorf("make the state dir: %w", err)
	}
	logFile := filepath.Join(stateDir, LogName)
	log, err := os.Create(logFile)
	if err != nil {
		return fmt.Errorf("open the log of the lab: %w", err)
	}
	defer func() { _ = log.Close() }()
	reader, writer, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start the lab in the background: %w", err)
	}
	defer func() { _ = reader.Close() }()

	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("start the lab in the background: %w", err)
	}
	background := exec.Command(self, args...)
	background.Stdout, background.Stderr = log, log
	background.ExtraFiles = []*os.File{writer}
	background.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = background.Start()
	_ = writer.Close()
	if err != nil {
		return fmt.Errorf("start the lab in the background: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = background.Process.Signal(syscall.SIGTERM) })
	defer stop()
	if relay(reader, out) {
		return background.Process.Release()
	}
	_ = background.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("the lab did not start; its log is %s", logFile)
}

// relay copies the progress and reports whether the lab became ready.
func relay(progress io.Reader, out io.Writer) bool {
	lines := bufio.NewScanner(progress)
	for lines.Scan() {
		if lines.Text() == readyLine {
			return true
		}
		_, _ = fmt.Fprintln(out, lines.Text())
	}
	return false
}

// Background is the other end of Detach: where a detached lab reports.
type Background struct {
	pipe *os.File
}

// OpenBackground takes the pipe that Detach left open for this process.
func OpenBackground() *Background {
	syscall.CloseOnExec(readyFD)
	return &Background{pipe: os.NewFile(readyFD, "progress")}
}

// Write passes progress on, as long as somebody reads it; that nobody does is no error.
func (b *Background) Write(text []byte) (int, error) {
	_ = b.pipe.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = b.pipe.Write(text)
	return len(text), nil
}

// Ready lets Detach return.
func (b *Background) Ready() {
	_, _ = b.Write([]byte(readyLine + "\n"))
	_ = b.pipe.Close()
}
