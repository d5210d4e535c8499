package oci

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
)

// fileSum is the digest of a file's content while it has that size and time.
type fileSum struct {
	Size   int64  `json:"size"`
	Time   int64  `json:"time"`
	Digest string `json:"digest"`
}

// sums are digests of files by their absolute paths. A file is read again only
// when its size or time has changed: Go's build gives its programs a new time
// even where it has nothing to do.
type sums struct {
	before map[string]fileSum
	// now has the files of this run.
	now map[string]fileSum
}

// of returns the digest of the file's content.
func (s sums) of(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	current := fileSum{Size: info.Size(), Time: info.ModTime().UnixNano()}
	if known, found := s.before[path]; found && known.Size == current.Size && known.Time == current.Time {
		current = known
	} else if current.Digest, err = contentDigest(path); err != nil {
		return "", err
	}
	s.now[path] = current
	return current.Digest, nil
}

func contentDigest(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
