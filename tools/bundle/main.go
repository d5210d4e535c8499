// Command bundle lays the module out as Deckhouse unpacks it, from what `make
// images` has left:
//
//	go run ./tools/bundle [--root DIR] [--out DIR] [--images DIR] [--version v1.2.3] [--repository REPOSITORY] [--module NAME] [--folders]
//
// OUT/module is the module's folder: templates, settings, CRDs, the hooks as one
// binary and images_digests.json. OUT/release is what release channels read. OUT/images
// is an OCI layout with both as images, by the references that Deckhouse asks a
// repository for, and the operator with which the lab runs that very folder. The
// same inputs give the same digests. A second name of the module is written wherever
// its files name it; its programs are in bin/NAME, with the name linked in.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/deckhouse-mesh/istio/lib/names"
	"github.com/deckhouse-mesh/istio/tools/oci"
	"github.com/deckhouse-mesh/istio/tools/programs"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "bundle: %v\n", err)
		os.Exit(1)
	}
}

// bundle is what is laid out, and from what.
type bundle struct {
	// root of the project, whose bin/ has the programs.
	root string
	// images is the folder with the digests of the module's images.
	images string
	// version of the module, as Deckhouse wants it: v1.2.3.
	version string
	// repository that Deckhouse looks for the module in.
	repository string
	// revision is the commit of the source, if that is known.
	revision string
	// name of the module.
	name string
	// bin is the folder with the programs; empty: those of this machine's platform, as the Makefile builds them.
	bin string
	// compile builds programs.
	compile programs.Builder
}

// versionForm is that of a release of a module.
var versionForm = regexp.MustCompile(`^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)

func run(args []string, log io.Writer) error {
	b := bundle{compile: programs.Build}
	flags := flag.NewFlagSet("bundle", flag.ContinueOnError)
	flags.StringVar(&b.root, "root", ".", "`folder` of the project")
	flags.StringVar(&b.images, "images", filepath.Join(".cache", "images"), "`folder` of `make images`, with "+oci.DigestsFile)
	flags.StringVar(&b.version, "version", "v0.0.0-dev", "`version` of the module")
	flags.StringVar(&b.name, "module", names.Embedded, "`name` that Deckhouse knows the module by: istio, or istio-alliance where it has an istio of its own")
	flags.StringVar(&b.repository, "repository", "", "`repository` of the module (default ghcr.io/deckhouse-mesh/NAME)")
	flags.StringVar(&b.revision, "revision", "", "`commit` of the project's source")
	publishTo := flags.String("publish", "", "`folder` to lay the images of the module and its release out in for all platforms, instead of the folder for the lab")
	foldersOnly := flags.Bool("folders", false, "lay out the folders of the module and its release alone, without images")
	push := flags.Bool("push", false, "push them to the repository")
	out := flags.String("out", filepath.Join(".cache", "bundle"), "`folder` to write to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if !versionForm.MatchString(b.version) {
		return fmt.Errorf("--version: %q is no version of a module: write it like v1.2.3", b.version)
	}
	if !nameForm.MatchString(b.name) {
		return fmt.Errorf("--module: %q is no name of this module: istio and istio-alliance are", b.name)
	}
	b.repository = strings.TrimSuffix(cmp.Or(b.repository, "ghcr.io/deckhouse-mesh/"+b.name), "/")
	if *publishTo != "" {
		return b.publish(context.Background(), *publishTo, *push, log)
	}
	return b.layOut(*out, *foldersOnly, log)
}

func (b bundle) layOut(out string, foldersOnly bool, log io.Writer) error {
	module, err := b.module()
	if err != nil {
		return err
	}
	release, err := b.release()
	if err != nil {
		return err
	}
	err = errors.Join(writeFolder(filepath.Join(out, "module"), module), writeFolder(filepath.Join(out, "release"), release))
	if err != nil {
		return fmt.Errorf("lay out the module: %w", err)
	}
	if foldersOnly {
		return nil
	}
	digests, err := b.buildImages(filepath.Join(out, "images"), module, release, log)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(log, "bundle: the module %s %s in %s, %d files: image %s, release %s\n",
		b.name, b.version, filepath.Join(out, "module"), len(module), digests["module"], digests["release"])
	return err
}
