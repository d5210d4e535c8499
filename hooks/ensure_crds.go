package hooks

import (
	"context"
	"os"
	"path/filepath"

	ensurecrds "github.com/deckhouse/module-sdk/common-hooks/ensure_crds"
	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

// moduleDirEnv overrides where the module's files are looked for.
const moduleDirEnv = "ISTIO_MODULE_DIR"

// moduleDir is the folder with crds/ in it. Both binaries that link the hooks
// live one folder below: <module>/hooks/<batch binary> and <root>/bin/operator.
func moduleDir() string {
	if dir := os.Getenv(moduleDirEnv); dir != "" {
		return dir
	}
	executable, err := os.Executable()
	if err != nil {
		return "."
	}
	if resolved, err := filepath.EvalSymlinks(executable); err == nil {
		executable = resolved
	}
	return filepath.Dir(filepath.Dir(executable))
}

// ensureCRDs installs and upgrades the module's own CRDs and Istio's. They are
// never deleted: people's objects live in them.
func ensureCRDs(dir string) hookruntime.Hook {
	return hookruntime.Hook{
		Name:   "ensure_crds",
		Config: sdk.HookConfig{OnStartup: &sdk.OrderedConfig{Order: 1}},
		Run: func(ctx context.Context, in *sdk.HookInput) error {
			// Own CRDs last: when they are there, everything is.
			for _, glob := range []string{"crds/istio/*.yaml", "crds/*.yaml"} {
				if err := ensurecrds.EnsureCRDs(ctx, in, filepath.Join(dir, glob)); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
