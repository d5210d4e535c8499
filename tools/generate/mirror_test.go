package main

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
)

func TestMirror(t *testing.T) {
	tests := []struct {
		name         string
		from, before map[string]string
		changed      int
	}{
		{"an empty place gets every file", map[string]string{"a": "1", "b/c": "2"}, nil, 2},
		{"equal files are not written", map[string]string{"a": "1"}, map[string]string{"a": "1"}, 0},
		{"a file that differs is written again", map[string]string{"a": "1"}, map[string]string{"a": "0"}, 1},
		{"a file of an older version goes", map[string]string{"a": "1"}, map[string]string{"a": "1", "b/old": "2"}, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			from, to := t.TempDir(), t.TempDir()
			write(t, from, test.from)
			write(t, to, test.before)

			changed, err := mirror(from, to, "")
			if err != nil {
				t.Fatal(err)
			}
			if changed != test.changed {
				t.Errorf("mirror changed %d files, want %d", changed, test.changed)
			}
			if after := read(t, to); !maps.Equal(after, test.from) {
				t.Errorf("the copy is %v, want %v", after, test.from)
			}
		})
	}
}

func TestFilesOfRemovedVersionsAreDeleted(t *testing.T) {
	root, present := t.TempDir(), istioversion.Default().Revision()
	write(t, root, map[string]string{
		"files/istio/" + present + "/values.yaml": "1", "files/istio/v1x4/values.yaml": "1",
		".cache/istio/" + present + "/VERSION": "1", ".cache/istio/v1x4/VERSION": "1",
	})
	if err := dropStrangers(root); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"files/istio/" + present + "/values.yaml": "1", ".cache/istio/" + present + "/VERSION": "1"}
	if after := read(t, root); !maps.Equal(after, want) {
		t.Errorf("left are %v, want %v", after, want)
	}
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		relative, _ := filepath.Rel(dir, path)
		files[relative] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestFilesToSkipAreNotInTheCopy(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	write(t, from, map[string]string{"a": "1", "profile-x": "2"})
	write(t, to, map[string]string{"profile-x": "2"})
	changed, err := mirror(from, to, "profile-*")
	if err != nil || changed != 2 {
		t.Errorf("mirror changed %d files (%v), want 2", changed, err)
	}
	if after := read(t, to); !maps.Equal(after, map[string]string{"a": "1"}) {
		t.Errorf("the copy is %v", after)
	}
}
