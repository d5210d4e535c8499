package node

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestTheFirstProcessSeesItsChildrenAndOrphansEnd(t *testing.T) {
	children := newReaper()
	for name, test := range map[string]struct {
		script string
		code   int
		signal syscall.Signal
	}{
		"by themselves":                {"exit 3", 3, -1},
		"at once":                      {"exit 0", 0, -1},
		"by a signal":                  {"kill -KILL $$", -1, syscall.SIGKILL},
		"after they have left orphans": {"(sleep 0.05; exit 9) & exit 4", 4, -1},
	} {
		t.Run(name, func(t *testing.T) {
			log, err := os.Create(filepath.Join(t.TempDir(), "log"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = log.Close() }()
			status, err := children.run("/bin/sh", []string{"-c", "echo said; " + test.script}, log)
			if err != nil {
				t.Fatal(err)
			}
			if status.ExitStatus() != test.code || status.Signal() != test.signal {
				t.Errorf("exit code %d, signal %v", status.ExitStatus(), status.Signal())
			}
			if said, _ := os.ReadFile(log.Name()); string(said) != "said\n" {
				t.Errorf("log %q", said)
			}
		})
	}
	if _, err := children.run("/does/not/exist", nil, os.Stdout); err == nil || !strings.Contains(err.Error(), "/does/not/exist") {
		t.Errorf("error %v", err)
	}
}

func TestAProgramIsAwaitedUntilItAcceptsConnections(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	done := make(chan struct{})
	go func() {
		await("unix:" + socket)
		close(done)
	}()
	select {
	case <-done:
		t.Fatal("nothing listens yet")
	case <-time.After(3 * startPoll):
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("not noticed within 10 s")
	}
}

func TestOnlyRootReadsKeys(t *testing.T) {
	dir := t.TempDir()
	if err := write(filepath.Join(dir, "etc", "hosts"), []byte("x")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "etc", "hosts"))
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("hosts: %v, %v", info.Mode(), err)
	}
	if mode("/etc/kubernetes/pki/ca.key") != 0o600 || mode("/etc/resolv.conf") != 0o644 {
		t.Error("modes are mixed up")
	}
}

func TestAFileTakesThePlaceOfALink(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(dir, "outside")
	link := filepath.Join(dir, "resolv.conf")
	if err := os.Symlink(outside, link); err != nil {
		t.Fatal(err)
	}
	if err := write(link, []byte("nameserver")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(outside); !os.IsNotExist(err) {
		t.Errorf("written through the link: %v", err)
	}
}
