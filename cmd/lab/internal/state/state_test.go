package state

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// holdVariable makes this test binary act as a lab that owns a state dir until its stdin is closed.
const holdVariable = "STATE_TEST_HOLD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(holdVariable); dir != "" {
		if _, err := Acquire(dir); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("held")
		_, _ = os.Stdin.Read(make([]byte, 1))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestTheHolderOfAStateDirIsKnownUntilItEnds(t *testing.T) {
	dir := t.TempDir()
	if pid, err := Holder(dir); err != nil || pid != 0 {
		t.Fatalf("holder of a fresh dir: %d, %v", pid, err)
	}
	holder := exec.Command(os.Args[0])
	holder.Env = append(os.Environ(), holdVariable+"="+dir)
	stdin, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 256)
	n, _ := stdout.Read(said)
	if string(said[:n]) != "held\n" {
		t.Fatalf("the holder said %q", said[:n])
	}

	if pid, err := Holder(dir); err != nil || pid != holder.Process.Pid {
		t.Fatalf("holder %d (%v), want %d", pid, err, holder.Process.Pid)
	}
	var held *HeldError
	if _, err := Acquire(dir); !errors.As(err, &held) || held.PID != holder.Process.Pid {
		t.Fatalf("a second lab got: %v", err)
	}

	_ = stdin.Close()
	_ = holder.Wait()
	if pid, err := Holder(dir); err != nil || pid != 0 {
		t.Fatalf("holder after its end: %d, %v", pid, err)
	}
	lock, err := Acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // asking must not drop the lock
		if pid, err := Holder(dir); err != nil || pid != os.Getpid() {
			t.Fatalf("the holder reads %d, %v", pid, err)
		}
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
}

func TestUpdatesReachTheFileAndEqualOnesDoNot(t *testing.T) {
	dir := t.TempDir()
	file := NewFile(dir)
	described := Lab{Mode: "federation", Clusters: []Cluster{{Name: "cluster-a"}, {Name: "cluster-b", ClusterUUID: "u-1"}}}
	if err := file.Replace(described); err != nil {
		t.Fatal(err)
	}
	lab, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if lab.Clusters[0].ClusterUUID != "" || lab.Clusters[1].ClusterUUID != "u-1" {
		t.Fatalf("read back %+v", lab.Clusters)
	}
	before, err := os.Stat(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Replace(described); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) {
		t.Fatal("an update that changes nothing replaced the file")
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Fatalf("temporary files stay: %v", entries)
	}
}

func TestReadSaysWhatToDoWhenThereIsNoLab(t *testing.T) {
	_, err := Read(t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "lab up") {
		t.Fatalf("error %v does not say how to start a lab", err)
	}
}
