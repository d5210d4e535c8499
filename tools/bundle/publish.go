package main

import (
	"context"
	"fmt"
	"io"
	"path"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/deckhouse-mesh/istio/lib/names"
	"github.com/deckhouse-mesh/istio/tools/attestation"
	"github.com/deckhouse-mesh/istio/tools/oci"
	"github.com/deckhouse-mesh/istio/tools/programs"
)

// publish lays the module and its release out as images for each platform, and pushes them. Only the hooks differ.
func (b bundle) publish(ctx context.Context, out string, push bool, log io.Writer) error {
	layout, err := oci.NewPublication(filepath.Join(out, "images"))
	if err != nil {
		return err
	}
	release, err := b.release()
	if err != nil {
		return err
	}
	var modules, releases []oci.Image
	for _, architecture := range programs.Architectures {
		module, err := b.moduleFor(ctx, architecture, filepath.Join(out, "bin", "linux-"+architecture), log)
		if err != nil {
			return err
		}
		modules = append(modules, b.image(b.name, ":"+b.version, architecture, module))
		releases = append(releases, b.image("release", "/release:"+b.version, architecture, release))
	}
	for _, images := range [][]oci.Image{modules, releases} {
		digest, err := layout.Add(images, b.attach)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(log, "bundle: %s is %s\n", images[0].References[0], digest)
	}
	if !push {
		return nil
	}
	return layout.Push(ctx)
}

// moduleFor returns the files of the module's folder for a platform.
func (b bundle) moduleFor(ctx context.Context, architecture, out string, log io.Writer) ([]oci.Entry, error) {
	target := programs.Target{Architecture: architecture, Version: b.version}
	packages := map[string]string{path.Base(hooksProgram): "./hooks/batch"}
	if b.name != names.Embedded {
		target.Module = b.name
		packages[enabledProgram] = "./hooks/enabled"
	}
	if err := b.compile(ctx, b.root, out, target, packages, log); err != nil {
		return nil, err
	}
	b.bin = out
	return b.module()
}

func (b bundle) image(name, tag, architecture string, entries []oci.Entry) oci.Image {
	labels := map[string]string{"org.opencontainers.image.title": name, "org.opencontainers.image.version": b.version}
	if b.revision != "" {
		labels["org.opencontainers.image.revision"] = b.revision
	}
	return oci.Image{
		Name: name, References: []string{b.repository + tag}, Layers: [][]oci.Entry{entries}, Architecture: architecture, Gzip: true,
		Config: v1.Config{Labels: labels},
	}
}

func (b bundle) attach(image oci.Image, manifest v1.Descriptor) ([]v1.Image, error) {
	subject := attestation.Subject{
		Name: image.Name, Repository: b.repository, Digest: manifest.Digest, Platform: "linux/" + image.Architecture,
		Version: b.version, Revision: b.revision,
	}
	for _, entry := range image.Layers[0] {
		if entry.Path == hooksProgram || entry.Path == enabledProgram {
			subject.Programs = append(subject.Programs, entry.From)
		}
	}
	return attestation.Attachments(subject, manifest)
}
