package main

import (
	"archive/tar"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// Parts of an image that programs look for.
const (
	rootsFile = "etc/ssl/certs/ca-certificates.crt"
	passwd    = "root:x:0:0:root:/:/sbin/nologin\n"
	group     = "root:x:0:\n"
)

// Users of images, as in the images that Deckhouse and Istio publish.
const (
	deckhouseUser = 64535
	istioUser     = 1337
	echoUser      = 1338
)

// scratch is the floor of a static program: CA roots, the name of its user, and nothing else.
func scratch(user string, id int) []entry {
	return []entry{
		text(rootsFile, publicRoots()),
		text("etc/passwd", fmt.Sprintf("%s%s:x:%d:%d:%s:/:/sbin/nologin\n", passwd, user, id, id, user)),
		text("etc/group", fmt.Sprintf("%s%s:x:%d:\n", group, user, id)),
	}
}

// publicRoots returns the roots that Mozilla trusts for servers, as PEM. Those
// it trusts for certificates of a certain time only are left out: a file of
// roots cannot say so.
func publicRoots() string {
	var all strings.Builder
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&all, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})
		}
	}
	return all.String()
}

// debian returns what an image takes of a Debian whose packages were unpacked
// and not configured: programs, libraries, and the names of protocols and ports.
// It is to have iptables, which Debian's alternatives would link.
func debian(file string) ([]entry, error) {
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
	if !slices.ContainsFunc(entries, func(e entry) bool { return e.path == iptables }) {
		return nil, fmt.Errorf("read %s: it has no /%s: remove its folder and run `make tools` again", file, iptables)
	}
	for _, name := range []string{"iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"} {
		entries = append(entries, link("usr/sbin/"+name, path.Base(iptables)))
	}
	return append(entries, entry{path: "run", mode: fs.ModeDir | 0o755}, writable("tmp")), nil
}

// fromTar returns the entries that debian takes, with their content.
func fromTar(from io.Reader) ([]entry, error) {
	var entries []entry
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
		e := entry{path: name, mode: fs.FileMode(header.Mode).Perm(), target: header.Linkname}
		switch header.Typeflag {
		case tar.TypeReg:
			if e.content, err = io.ReadAll(reader); err != nil {
				return nil, err
			}
		case tar.TypeSymlink:
			e.mode |= fs.ModeSymlink
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
	for _, wanted := range []string{"lib/", "lib64/", "usr/lib/", "usr/lib64/", "bin/", "sbin/", "usr/bin/", "usr/sbin/"} {
		if strings.HasPrefix(name, wanted) {
			return true
		}
	}
	// Links of a Debian whose /usr is merged.
	return slices.Contains([]string{"lib", "lib64", "bin", "sbin", "etc/protocols", "etc/services"}, name)
}
