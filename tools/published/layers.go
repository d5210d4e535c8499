package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/deckhouse-mesh/istio/tools/oci"
)

// files are what matters of an image's files.
type files struct {
	// programs are the architectures that programs are for, in Go's words, by path.
	programs map[string]string
	// digests of the images that the module asks for, by name.
	digests map[string]string
}

// readLayers reads all layers, and compares them with their digests before and after decompression, as nodes do.
func readLayers(ctx context.Context, repository *remote.Repository, manifest ocispec.Manifest, config ocispec.Image) (files, error) {
	found := files{programs: map[string]string{}, digests: map[string]string{}}
	if len(manifest.Layers) != len(config.RootFS.DiffIDs) {
		return found, fmt.Errorf("it has %d layers, and its configuration lists %d", len(manifest.Layers), len(config.RootFS.DiffIDs))
	}
	for i, layer := range manifest.Layers {
		if err := found.readLayer(ctx, repository, layer, config.RootFS.DiffIDs[i]); err != nil {
			return found, fmt.Errorf("read layer %s: %w", layer.Digest, err)
		}
	}
	return found, nil
}

func (f files) readLayer(ctx context.Context, repository *remote.Repository, layer ocispec.Descriptor, uncompressed digest.Digest) (err error) {
	body, err := repository.Fetch(ctx, layer)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	verified := content.NewVerifyReader(body, layer)
	decompressed, err := decompress(verified, layer.MediaType)
	if err != nil {
		return err
	}
	defer func() { _ = decompressed.Close() }()
	verifier := uncompressed.Verifier()
	whole := io.TeeReader(decompressed, verifier)
	if err := f.readTar(tar.NewReader(whole)); err != nil {
		return err
	}
	// What follows the archive belongs to both digests.
	for _, rest := range []io.Reader{whole, verified} {
		if _, err := io.Copy(io.Discard, rest); err != nil {
			return err
		}
	}
	if !verifier.Verified() {
		return fmt.Errorf("decompressed, it is not the %s of the image's configuration", uncompressed)
	}
	return verified.Verify()
}

func decompress(compressed io.Reader, mediaType string) (io.ReadCloser, error) {
	switch {
	case strings.HasSuffix(mediaType, "+gzip"):
		return gzip.NewReader(compressed)
	case strings.HasSuffix(mediaType, "+zstd"):
		reader, err := zstd.NewReader(compressed)
		if err != nil {
			return nil, err
		}
		return reader.IOReadCloser(), nil
	default:
		return nil, fmt.Errorf("it is of type %s, compressed neither with gzip nor with zstd", mediaType)
	}
}

func (f files) readTar(archive *tar.Reader) error {
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		if path.Base(header.Name) == oci.DigestsFile {
			if err := json.NewDecoder(archive).Decode(&f.digests); err != nil {
				return fmt.Errorf("%s: %w", header.Name, err)
			}
			continue
		}
		if architecture := programFor(archive); architecture != "" {
			f.programs[header.Name] = architecture
		}
	}
}

// programFor returns the architecture that a program is for, "" for other files.
func programFor(file io.Reader) string {
	const machineAt = 18 // in the header of every ELF file
	var header [machineAt + 2]byte
	if _, err := io.ReadFull(file, header[:]); err != nil || string(header[:len(elf.ELFMAG)]) != elf.ELFMAG {
		return ""
	}
	switch machine := elf.Machine(binary.LittleEndian.Uint16(header[machineAt:])); machine {
	case elf.EM_X86_64:
		return "amd64"
	case elf.EM_AARCH64:
		return "arm64"
	default:
		return machine.String()
	}
}
