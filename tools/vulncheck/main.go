// Command vulncheck fails when the project's programs call code with a known
// vulnerability that nobody has judged. govulncheck finds what they call; the
// database is the Go project's own, from the module golang.org/x/vulndb, so that
// a check needs nothing but Go modules. accepted.yaml lists what cannot be
// mended yet, each with its reason; an entry that is no longer found fails too.
//
// Versions are those of tools/vuln/go.mod. A newer golang.org/x/vulndb there
// knows newer vulnerabilities.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

const (
	pins         = "tools/vuln/go.mod"
	acceptedFile = "tools/vulncheck/accepted.yaml"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintf(os.Stderr, "vulncheck: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	accepted, err := loadAccepted(acceptedFile)
	if err != nil {
		return err
	}
	database, err := ensureDatabase(ctx, filepath.Join(".cache", "vulndb"))
	if err != nil {
		return err
	}
	found, err := scanOnce(ctx, database)
	if err != nil {
		return err
	}
	if err := judge(found, accepted); err != nil {
		return err
	}
	fmt.Printf("vulncheck: nothing to mend; %d accepted in %s\n", len(accepted), acceptedFile)
	return nil
}
