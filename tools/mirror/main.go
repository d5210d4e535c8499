// Command mirror lists the images of others that the module can ask for, and
// copies them into a repository, for clusters that reach no other:
//
//	go run ./tools/mirror [--root DIR] [--out DIR] [--repository REPOSITORY] [--from HOST=HOST]
//
// Without --repository it only lists them. Copies are whole: every platform, and
// what their makers attached by digest stays valid, since nothing is changed.
// OUT/images_digests.json then has the digest of each copy, for `make images` and `make bundle`.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/deckhouse-mesh/istio/tools/oci"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "images-mirror: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, log io.Writer) error {
	flags := flag.NewFlagSet("mirror", flag.ContinueOnError)
	root := flags.String("root", ".", "`folder` of the project")
	out := flags.String("out", filepath.Join(".cache", "mirror"), "`folder` for the digests of the copies")
	repository := flags.String("repository", "", "`repository` to copy the images to; empty: list them")
	from := flags.String("from", "", "a `host=host` to pull from in place of the one that images name, for example docker.io=mirror.example.com")
	if err := flags.Parse(args); err != nil {
		return err
	}
	images, err := wanted(*root)
	if err != nil {
		return err
	}
	if *repository == "" {
		for _, image := range images {
			_, _ = fmt.Fprintf(log, "%s\t%s\n", image.name, image.reference)
		}
		return nil
	}
	digests, err := copyAll(ctx, images, strings.TrimSuffix(*repository, "/"), *from, log)
	return errors.Join(err, writeDigests(filepath.Join(*out, oci.DigestsFile), digests))
}

// copyAll copies what it can, and returns the digests of the copies with the reasons why others are none.
func copyAll(ctx context.Context, images []upstream, repository, from string, log io.Writer) (map[string]string, error) {
	digests := map[string]string{}
	var failed []error
	for _, image := range images {
		digest, err := copyImage(ctx, image, repository, from)
		if err != nil {
			failed = append(failed, fmt.Errorf("copy %s: %w", image.reference, err))
			continue
		}
		digests[image.name] = digest.String()
		_, _ = fmt.Fprintf(log, "%s\t%s\t%s\n", image.name, image.reference, digest)
	}
	return digests, errors.Join(failed...)
}

func copyImage(ctx context.Context, image upstream, repository, from string) (v1.Hash, error) {
	source, err := name.ParseReference(elsewhere(image.reference, from))
	if err != nil {
		return v1.Hash{}, err
	}
	found, err := remote.Get(source, oci.Access(ctx)...)
	if err != nil {
		return v1.Hash{}, err
	}
	tag := image.reference[strings.LastIndex(image.reference, ":")+1:]
	return found.Digest, oci.Push(ctx, repository+":"+image.folder+"-"+tag, found)
}

// elsewhere is the reference at the other host of from, "host=host".
func elsewhere(reference, from string) string {
	host, other, found := strings.Cut(from, "=")
	if rest, at := strings.CutPrefix(reference, host+"/"); found && at {
		return other + "/" + rest
	}
	return reference
}

func writeDigests(file string, digests map[string]string) error {
	encoded, err := json.MarshalIndent(digests, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, append(encoded, '\n'), 0o644)
}
