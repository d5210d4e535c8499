package main

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// entry is one file, folder or link of an image. All belong to root: an image's
// user can read them, and write only where a folder says so.
type entry struct {
	// path in the image, without a slash in front.
	path string
	// mode has the type, fs.ModeDir or fs.ModeSymlink, and the permissions.
	mode fs.FileMode
	// from is the file with the content; content is it when from is empty.
	from    string
	content []byte
	// target of a link.
	target string
}

func program(path, from string) entry { return entry{path: path, mode: 0o755, from: from} }

func text(path, content string) entry {
	return entry{path: path, mode: 0o644, content: []byte(content)}
}

func link(path, target string) entry {
	return entry{path: path, mode: fs.ModeSymlink | 0o777, target: target}
}

// writable is a folder that every user may write into, like /tmp.
func writable(path string) entry {
	return entry{path: path, mode: fs.ModeDir | fs.ModeSticky | 0o777}
}

// tree returns the files below the folder dir as they are to be below path.
// Links are followed: the module's folder consists of them.
func tree(target, dir string) ([]entry, error) {
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var entries []entry
	for _, name := range names {
		from, to := filepath.Join(dir, name.Name()), path.Join(target, name.Name())
		info, err := os.Stat(from)
		if err != nil {
			return nil, err
		}
		if info.IsDir() {
			below, err := tree(to, from)
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
		entries = append(entries, entry{path: to, mode: mode, from: from})
	}
	return entries, nil
}

// complete returns the entries with the folders they lie in, each before what
// is in it, in an order that depends on nothing but the paths.
func complete(entries []entry) ([]entry, error) {
	byPath := map[string]entry{}
	for _, e := range entries {
		if _, twice := byPath[e.path]; twice {
			return nil, fmt.Errorf("put an image together: /%s is in it twice", e.path)
		}
		byPath[e.path] = e
	}
	for _, e := range entries {
		for dir := path.Dir(e.path); dir != "."; dir = path.Dir(dir) {
			if _, there := byPath[dir]; !there {
				byPath[dir] = entry{path: dir, mode: fs.ModeDir | 0o755}
			}
		}
	}
	all := make([]entry, 0, len(byPath))
	for _, e := range byPath {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b entry) int { return strings.Compare(a.path, b.path) })
	return all, nil
}
