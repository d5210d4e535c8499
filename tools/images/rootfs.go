package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/deckhouse-mesh/istio/tools/oci"
)

// debian returns what an image takes of a Debian whose packages were unpacked
// and not configured: programs, libraries, and the names of protocols and ports.
// It is to have iptables, which Debian's alternatives would link.
func debian(file string) ([]oci.Entry, error) {
	archive, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = archive.Close() }()
	entries, err := fromTar(archive)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	const iptables = "usr/sbin/xtables-nft-multi"
	if !slices.ContainsFunc(entries, func(e oci.Entry) bool { return e.Path == iptables }) {
		return nil, fmt.Errorf("read %s: it has no /%s: remove its folder and run `make tools` again", file, iptables)
	}
	for _, name := range []string{"iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"} {
		entries = append(entries, oci.Link("usr/sbin/"+name, path.Base(iptables)))
	}
	return append(entries, oci.Entry{Path: "run", Mode: fs.ModeDir | 0o755}, oci.Writable("tmp")), nil
}

// fromTar returns the entries that debian takes, with their content.
func fromTar(from io.Reader) ([]oci.Entry, error) {
	var entries []oci.Entry
	reader := tar.NewReader(from)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			return nil, err
		}
		name := strings.TrimPrefix(path.Clean("/"+header.Name), "/")
		if !wantedOfDebian(name) {
			continue
		}
		e := oci.Entry{Path: name, Mode: fs.FileMode(header.Mode).Perm(), Target: header.Linkname}
		switch header.Typeflag {
		case tar.TypeReg:
			if e.Content, err = io.ReadAll(reader); err != nil {
				return nil, err
			}
		case tar.TypeSymlink:
			e.Mode |= fs.ModeSymlink
		default: // folders come with what is in them
			continue
		}
		entries = append(entries, e)
	}
}

// wantedOfDebian is true for what programs need while they run. Character sets'
// tables are most of glibc's size, and nothing here converts text.
func wantedOfDebian(name string) bool {
	if strings.Contains(name, "/gconv/") {
		return false
	}
	folders := []string{"lib/", "lib64/", "usr/lib/", "usr/lib64/", "bin/", "sbin/", "usr/bin/", "usr/sbin/"}
	if slices.ContainsFunc(folders, func(folder string) bool { return strings.HasPrefix(name, folder) }) {
		return true
	}
	// Links of a Debian whose /usr is merged.
	return slices.Contains([]string{"lib", "lib64", "bin", "sbin", "etc/protocols", "etc/services"}, name)
}
