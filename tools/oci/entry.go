package oci

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Entry is one file, folder or link of an image. All belong to root: an image's
// user can read them, and write only where a folder says so.
type Entry struct {
	// Path in the image, without a slash in front.
	Path string
	// Mode has the type, fs.ModeDir or fs.ModeSymlink, and the permissions.
	Mode fs.FileMode
	// From is the file with the content; Content is it when From is empty.
	From    string
	Content []byte
	// Target of a link.
	Target string
}

// Program is an executable file.
func Program(path, from string) Entry { return Entry{Path: path, Mode: 0o755, From: from} }

// Text is a file that everybody may read.
func Text(path, content string) Entry {
	return Entry{Path: path, Mode: 0o644, Content: []byte(content)}
}

// Link is a symbolic one.
func Link(path, target string) Entry {
	return Entry{Path: path, Mode: fs.ModeSymlink | 0o777, Target: target}
}

// Writable is a folder that every user may write into, like /tmp.
func Writable(path string) Entry {
	return Entry{Path: path, Mode: fs.ModeDir | fs.ModeSticky | 0o777}
}

// Tree returns the files below the folder dir as they are to be below path.
// Links are followed: the module's folder consists of them.
func Tree(target, dir string) ([]Entry, error) {
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var entries []Entry
	for _, name := range names {
		from, to := filepath.Join(dir, name.Name()), path.Join(target, name.Name())
		info, err := os.Stat(from)
		if err != nil {
			return nil, err
		}
		if info.IsDir() {
			below, err := Tree(to, from)
			if err != nil {
				return nil, err
			}
			entries = append(entries, below...)
			continue
		}
		mode := fs.FileMode(0o644)
		if info.Mode()&0o100 != 0 {
			mode = 0o755
		}
		entries = append(entries, Entry{Path: to, Mode: mode, From: from})
	}
	return entries, nil
}

// complete returns the entries with the folders they lie in, each before what
// is in it, in an order that depends on nothing but the paths.
func complete(entries []Entry) ([]Entry, error) {
	byPath := map[string]Entry{}
	for _, e := range entries {
		if _, twice := byPath[e.Path]; twice {
			return nil, fmt.Errorf("put an image together: /%s is in it twice", e.Path)
		}
		byPath[e.Path] = e
	}
	for _, e := range entries {
		for dir := path.Dir(e.Path); dir != "."; dir = path.Dir(dir) {
			if _, there := byPath[dir]; !there {
				byPath[dir] = Entry{Path: dir, Mode: fs.ModeDir | 0o755}
			}
		}
	}
	return slices.SortedFunc(maps.Values(byPath), func(a, b Entry) int { return strings.Compare(a.Path, b.Path) }), nil
}
