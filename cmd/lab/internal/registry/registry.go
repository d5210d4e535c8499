// Package registry serves the images of OCI layout folders to the lab's nodes,
// and puts images into such folders.
//
// Every node has it as its mirror for every host, so it answers for any
// repository: a digest names an image whatever repository is asked for it. A
// tag needs the full reference, which containerd gives as the path and the
// host in the query parameter ns.
package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

var (
	manifestPath = regexp.MustCompile(`^/v2/(.+)/manifests/([^/]+)$`)
	blobPath     = regexp.MustCompile(`^/v2/(.+)/blobs/([^/]+)$`)
)

type registry struct {
	folders []folder
}

// New returns a read-only registry of the images in the OCI layout folders. Where
// two know one reference, the earlier folder's image is served. Folders are read
// at each request, so images that are added later are served, too; a folder may
// be missing until then, but one of them must have images.
func New(layouts ...string) (http.Handler, error) {
	served := registry{}
	images := 0
	for _, layout := range layouts {
		in := folder(layout)
		index, err := in.index()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("serve images: %w", err)
		}
		images += len(index.Manifests)
		served.folders = append(served.folders, in)
	}
	if images == 0 {
		return nil, fmt.Errorf("serve images: none in %s: run `make images`", strings.Join(layouts, ", "))
	}
	return served, nil
}

// ServeHTTP answers the pulling half of the OCI distribution API.
func (r registry) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	if request.Method != http.MethodGet && request.Method != http.MethodHead {
		reject(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "the lab's registry is read-only: add an image with `lab image load`")
		return
	}
	if path := request.URL.Path; path == "/v2" || path == "/v2/" {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("{}"))
	} else if parts := manifestPath.FindStringSubmatch(path); parts != nil {
		r.serveManifest(w, request, parts[1], parts[2])
	} else if parts := blobPath.FindStringSubmatch(path); parts != nil {
		r.serveBlob(w, request, parts[2])
	} else {
		reject(w, http.StatusNotFound, "UNSUPPORTED", "the lab's registry serves manifests and blobs, not "+path)
	}
}

func (r registry) serveManifest(w http.ResponseWriter, request *http.Request, repository, reference string) {
	digest, err := v1.NewHash(reference)
	if err != nil {
		full := repository + ":" + reference
		if host := request.URL.Query().Get("ns"); host != "" {
			full = host + "/" + full
		}
		if digest, err = r.resolve(full); err != nil {
			rejectError(w, "MANIFEST_UNKNOWN", err)
			return
		}
	}
	manifest, mediaType, err := r.manifest(digest)
	if err != nil {
		rejectError(w, "MANIFEST_UNKNOWN", err)
		return
	}
	w.Header().Set("Content-Type", string(mediaType))
	w.Header().Set("Content-Length", strconv.Itoa(len(manifest)))
	w.Header().Set("Docker-Content-Digest", digest.String())
	_, _ = w.Write(manifest) //nolint:gosec // no page: the bytes of a manifest, with its own type
}

func (r registry) serveBlob(w http.ResponseWriter, request *http.Request, reference string) {
	digest, err := v1.NewHash(reference)
	if err != nil {
		reject(w, http.StatusBadRequest, "DIGEST_INVALID", err.Error())
		return
	}
	blob, err := r.open(digest)
	if err != nil {
		rejectError(w, "BLOB_UNKNOWN", err)
		return
	}
	defer func() { _ = blob.Close() }()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Docker-Content-Digest", digest.String())
	w.Header().Set("Etag", strconv.Quote(digest.String()))
	http.ServeContent(w, request, "", time.Time{}, blob)
}

// resolve returns the digest of a full reference, host/repository:tag.
func (r registry) resolve(reference string) (v1.Hash, error) {
	for _, in := range r.folders {
		index, err := in.index()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return v1.Hash{}, err
		}
		for _, descriptor := range index.Manifests {
			if descriptor.Annotations[ReferenceAnnotation] == reference {
				return descriptor.Digest, nil
			}
		}
	}
	return v1.Hash{}, fmt.Errorf("the lab has no image %s, and fetches none from outside: add it with `lab image load` (%w)", reference, fs.ErrNotExist)
}

func (r registry) open(digest v1.Hash) (*os.File, error) {
	for _, in := range r.folders {
		blob, err := os.Open(in.blob(digest))
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return blob, err
		}
	}
	return nil, fmt.Errorf("no image of the lab has %s (%w)", digest, fs.ErrNotExist)
}

func rejectError(w http.ResponseWriter, code string, err error) {
	status := http.StatusInternalServerError
	if errors.Is(err, fs.ErrNotExist) {
		status = http.StatusNotFound
	}
	reject(w, status, code, err.Error())
}

// reject answers with an error in the form of the distribution API.
func reject(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]string{{"code": code, "message": message}}})
}
