// Command published asks a registry whether it has what `make images` and `make
// bundle` push, fit to publish:
//
//	go run ./tools/published [--root DIR] --repository REPOSITORY
//	go run ./tools/published [--root DIR] COMMAND...
//
// With a command it starts a registry on loopback, runs the command with that
// registry's repository as REGISTRY in its environment, and asks there.
//
// It reads all of each image with another library than the one that pushed it, and
// holds both platforms to what docs/INSTALL.md says of them: whole, of programs for
// that platform, not root, with labels, SBOM and provenance, and of at most 45 MB.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/deckhouse-mesh/istio/tools/oci"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "published: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, log io.Writer) error {
	flags := flag.NewFlagSet("published", flag.ContinueOnError)
	root := flags.String("root", ".", "`folder` of the project")
	repository := flags.String("repository", "", "`repository` that was pushed to; without it, a command that pushes")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if (*repository == "") == (flags.NArg() == 0) {
		return errors.New("name either the repository that was pushed to, --repository, or a command that pushes")
	}
	if *repository == "" {
		started, err := startRegistry()
		if err != nil {
			return err
		}
		defer started.stop()
		*repository = started.host + "/mesh/istio"
		if err := push(ctx, flags.Args(), *repository, log); err != nil {
			return err
		}
	}
	return check(ctx, filepath.Join(*root, ".cache", "publish"), strings.TrimSuffix(*repository, "/"), oci.MaxSize, log)
}

// push runs the command that pushes into the repository.
func push(ctx context.Context, command []string, repository string, log io.Writer) error {
	pushing := exec.CommandContext(ctx, command[0], command[1:]...)
	pushing.Env = append(os.Environ(), "REGISTRY="+repository)
	pushing.Stdout, pushing.Stderr = log, os.Stderr
	if err := pushing.Run(); err != nil {
		return fmt.Errorf("push images into a registry on loopback by %q: %w", strings.Join(command, " "), err)
	}
	return nil
}

// check asks the repository for each image that was laid out in the folder for it, and lists them.
func check(ctx context.Context, folder, repository string, limit int64, log io.Writer) error {
	images, err := laidOut(folder, repository)
	if err != nil {
		return err
	}
	c := checker{repository: repository, limit: limit}
	table := tabwriter.NewWriter(log, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "image\tplatform\tMB\tprograms\tpackages in the SBOM\tdigest")
	var failed []error
	for _, image := range images {
		found, err := c.image(ctx, image)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", image.reference, err))
		}
		for _, each := range found {
			_, _ = fmt.Fprintf(table, "%s\t%s\t%.1f\t%d\t%d\t%s\n", image.reference, each.name, float64(each.size)/1e6, each.programs, each.packages, each.digest)
		}
	}
	return errors.Join(append(failed, table.Flush())...)
}
