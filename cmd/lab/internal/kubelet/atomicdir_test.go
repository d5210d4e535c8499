package kubelet

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestAVolumeShowsExactlyTheFilesItWasGivenLast(t *testing.T) {
	text := func(content string) file { return file{content: []byte(content), mode: 0o640} }
	dir := filepath.Join(t.TempDir(), "volume")
	for _, generation := range []map[string]file{
		{"a": text("1"), "nested/b": text("2")},
		{"a": text("changed"), "nested/b": text("2")},
		{"a": text("changed")},
		{"c": text("3")},
		{},
	} {
		if err := writeAtomically(dir, generation); err != nil {
			t.Fatal(err)
		}
		var names []string
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		generations := 0
		for _, entry := range entries {
			switch {
			case entry.IsDir():
				generations++
			case entry.Name() != dataLink:
				names = append(names, entry.Name())
			}
		}
		if generations != 1 {
			t.Fatalf("%d generations are kept, want the present one", generations)
		}
		var wanted []string
		for name, want := range generation {
			top := name
			if filepath.Dir(name) != "." {
				top = filepath.Dir(name)
			}
			wanted = append(wanted, top)
			content, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil || string(content) != string(want.content) {
				t.Fatalf("%s holds %q (%v), want %q", name, content, err, want.content)
			}
		}
		slices.Sort(names)
		slices.Sort(wanted)
		if !slices.Equal(names, wanted) {
			t.Fatalf("names %v, want %v", names, wanted)
		}
	}
}

func TestEqualFilesAreNotWrittenAgain(t *testing.T) {
	dir := t.TempDir()
	files := map[string]file{"a": {content: []byte("1"), mode: 0o644}}
	if err := writeAtomically(dir, files); err != nil {
		t.Fatal(err)
	}
	before, _ := os.Readlink(filepath.Join(dir, dataLink))
	if err := writeAtomically(dir, files); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.Readlink(filepath.Join(dir, dataLink)); after != before {
		t.Fatalf("generation %s became %s", before, after)
	}
}
