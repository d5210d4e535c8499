package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
	"github.com/deckhouse-mesh/istio/tools/attestation"
	"github.com/deckhouse-mesh/istio/tools/oci"
	"github.com/deckhouse-mesh/istio/tools/programs"
)

// publication is what is published, from where and to where.
type publication struct {
	project
	// built is the layout of `make images`.
	built string
	// out is the folder for programs, images and digests.
	out string
	// repository of the module's images; push to it, or only lay them out.
	repository string
	push       bool
	// mirrored is the file of `make images-mirror` with the digests of others' images; there need not be one.
	mirrored string
	compile  programs.Builder
}

// publish lays our images out for each platform, with what is attached to them, and pushes them.
func (p publication) publish(ctx context.Context, log io.Writer) error {
	if p.stamp.version == "" {
		p.stamp.version = developed
	}
	layout, err := oci.NewPublication(filepath.Join(p.out, "images"))
	if err != nil {
		return err
	}
	digests, builtHere, err := p.others()
	if err != nil {
		return err
	}
	if err := p.buildPrograms(ctx, log); err != nil {
		return err
	}
	names, err := p.ownImages()
	if err != nil {
		return err
	}
	for _, folder := range names {
		digest, err := p.add(layout, folder, func(one project) (oci.Image, error) { return one.own(folder) }, p.repository+":"+p.stamp.version+"-"+folder, nil)
		if err != nil {
			return err
		}
		digests[oci.CamelCase(folder)] = digest
	}
	encoded, err := json.MarshalIndent(digests, "", "  ")
	if err != nil {
		return err
	}
	operator, err := p.add(layout, operatorName, func(one project) (oci.Image, error) { return one.operatorImage(encoded, len(builtHere) > 0) },
		p.repository+"/"+operatorName+":"+p.stamp.version, istioModules())
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(p.out, oci.DigestsFile), append(encoded, '\n'), 0o644); err != nil {
		return err
	}
	if err := p.pushAll(ctx, layout, builtHere, log); err != nil {
		return err
	}
	_, err = fmt.Fprintf(log, "images: %s and the operator (%s) for linux on %s: %s\n",
		strings.Join(names, ", "), operator, strings.Join(programs.Architectures, " and "), p.out)
	return err
}

func (p publication) programsOf(architecture string) string {
	return filepath.Join(p.out, "bin", "linux-"+architecture)
}

// ownImages are the folders of images/ whose programs are ours.
func (p publication) ownImages() ([]string, error) {
	names, err := fs.Glob(os.DirFS(p.path("images")), "*/cmd")
	for i := range names {
		names[i] = path.Dir(names[i])
	}
	return names, err
}

// packages of our programs in images, by the programs' names.
func (p publication) packages() (map[string]string, error) {
	found := map[string]string{operatorName: "./cmd/operator"}
	folders, err := fs.Glob(os.DirFS(p.root), "images/*/cmd/*")
	if err != nil {
		return nil, err
	}
	for _, folder := range folders {
		found[path.Base(folder)] = "./" + folder
	}
	return found, nil
}

func (p publication) buildPrograms(ctx context.Context, log io.Writer) error {
	packages, err := p.packages()
	if err != nil {
		return err
	}
	for _, architecture := range programs.Architectures {
		_, _ = fmt.Fprintf(log, "images: programs for linux/%s\n", architecture)
		if err := p.compile(ctx, p.root, p.programsOf(architecture), programs.Target{Architecture: architecture, Version: p.stamp.version}, packages, log); err != nil {
			return err
		}
	}
	return nil
}

// add an image for each platform, with its SBOM and provenance; modules are what its files besides programs were taken from.
func (p publication) add(to *oci.Publication, name string, of func(project) (oci.Image, error), reference string, modules []debug.Module) (v1.Hash, error) {
	var images []oci.Image
	for _, architecture := range programs.Architectures {
		one := p.project
		one.programs, one.architecture = p.programsOf(architecture), architecture
		image, err := of(one)
		if err != nil {
			return v1.Hash{}, fmt.Errorf("image %s: %w", name, err)
		}
		image.Name, image.References = name, []string{reference}
		images = append(images, image)
	}
	return to.Add(images, func(image oci.Image, manifest v1.Descriptor) ([]v1.Image, error) {
		return attestation.Attachments(attestation.Subject{
			Name: name, Repository: p.repository, Digest: manifest.Digest, Platform: "linux/" + image.Architecture,
			Version: p.stamp.version, Revision: p.stamp.revision, Programs: programsIn(image), Modules: modules,
		}, manifest)
	})
}

// programsIn are the files of an image's Go programs.
func programsIn(image oci.Image) []string {
	var files []string
	for _, layer := range image.Layers {
		for _, entry := range layer {
			if entry.From != "" && (path.Dir(entry.Path) == programsFolder || entry.Path == operatorName) {
				files = append(files, entry.From)
			}
		}
	}
	slices.Sort(files)
	return files
}

// istioModules are those that the operator's files of Istio were taken from.
func istioModules() []debug.Module {
	var modules []debug.Module
	for _, version := range istioversion.All() {
		modules = append(modules, debug.Module{Path: "istio.io/istio", Version: version.ModuleFull()})
	}
	return modules
}

// others are the digests of images that others make, and of those the ones that were built here instead.
func (p publication) others() (digests, builtHere map[string]v1.Hash, err error) {
	here, err := readDigests(filepath.Join(p.built, oci.DigestsFile))
	if err != nil {
		return nil, nil, err
	}
	mirrored, err := readDigests(p.mirrored)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	digests, builtHere = map[string]v1.Hash{}, map[string]v1.Hash{}
	for name, digest := range here {
		if copied, found := mirrored[name]; found {
			digests[name] = copied
		} else {
			digests[name], builtHere[name] = digest, digest
		}
	}
	own, err := p.ownImages()
	for _, folder := range own {
		delete(digests, oci.CamelCase(folder))
		delete(builtHere, oci.CamelCase(folder))
	}
	return digests, builtHere, err
}

func readDigests(file string) (map[string]v1.Hash, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the digests of images: %w", err)
	}
	digests := map[string]v1.Hash{}
	if err := json.Unmarshal(raw, &digests); err != nil {
		return nil, fmt.Errorf("read the digests of images from %s: %w", file, err)
	}
	return digests, nil
}

// pushAll pushes our images, and those that were built here in place of others'.
func (p publication) pushAll(ctx context.Context, layout *oci.Publication, builtHere map[string]v1.Hash, log io.Writer) error {
	if !p.push {
		return nil
	}
	if err := layout.Push(ctx); err != nil {
		return err
	}
	for image, digest := range builtHere {
		built, err := oci.FindBuilt(p.built, digest)
		if err != nil {
			return err
		}
		if err := oci.Push(ctx, p.repository+":"+p.stamp.version+"-"+strings.ToLower(image), built); err != nil {
			return err
		}
		_, _ = fmt.Fprintf(log, "images: %s was built here, for this machine's platform and for tests: `make images-mirror` copies its makers' own\n", image)
	}
	return nil
}
