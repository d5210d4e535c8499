// Package hookruntime runs a hook that was written once in both runtimes the
// module knows: addon-operator, where hooks are linked into the operator, and
// module-sdk's batch binary, which Deckhouse starts as a process.
package hookruntime

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/deckhouse/module-sdk/pkg"
)

// Hook is a named configuration and a function. The function reads snapshots
// and values and returns its effects through the collectors of its input; the
// same value serves both runtimes.
type Hook struct {
	// Name is the hook's file name without .go; unique among the hooks of a module.
	Name string
	// Config says when the hook runs and which objects it sees. Filters are jq;
	// an empty filter keeps the whole object. Metadata is filled at registration.
	Config pkg.HookConfig
	// Run does one run. An error makes the runtime try again with back-off.
	//
	// One thing differs: addon-operator forgets a hook's metrics at its next run,
	// Deckhouse keeps those of module-sdk that belong to no group. Set all of them
	// every time, with zero for what has ended.
	Run func(ctx context.Context, in *pkg.HookInput) error
}

// runsInMain is true for bindings whose runs addon-operator puts into the queue "main", whatever the hook's own is.
func runsInMain(config pkg.HookConfig) bool {
	return config.OnStartup != nil || config.OnBeforeHelm != nil || config.OnAfterHelm != nil ||
		config.OnBeforeDeleteHelm != nil || config.OnAfterDeleteHelm != nil
}

var hookName = regexp.MustCompile(`^[a-z0-9]+(_[a-z0-9]+)*$`)

// Validate returns everything that would keep h from behaving the same in both
// runtimes: a field one of them ignores is an error, not a surprise.
func (h Hook) Validate() error {
	var errs []error
	reject := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if !hookName.MatchString(h.Name) {
		reject("name %q: use the file name, lower case with underscores, without .go", h.Name)
	}
	if h.Run == nil {
		reject("Run is missing")
	}
	if err := h.Config.Validate(); err != nil {
		reject("%w", err)
	}
	if h.Config.OnStartup != nil && len(h.Config.Kubernetes) > 0 {
		reject("OnStartup and Kubernetes bindings exclude each other: an OnStartup run has no snapshots")
	}
	if h.Config.Settings != nil && h.Config.Settings.ExecutionMinInterval > 0 && runsInMain(h.Config) {
		reject("a limit of its runs and OnStartup or bindings around Helm exclude each other: addon-operator waits for the limit in queue \"main\", where it " +
			"holds up all modules; make the bindings around Helm a hook of its own")
	}
	for i, schedule := range h.Config.Schedule {
		if schedule.Name == "" {
			reject("Schedule[%d] has no Name", i)
		}
	}

	seen := map[string]bool{}
	for i, binding := range h.Config.Kubernetes {
		if binding.Name == "" {
			reject("Kubernetes[%d] has no Name", i)
		} else if seen[binding.Name] {
			reject("Kubernetes[%d]: Name %q is taken by another binding, their snapshots would mix", i, binding.Name)
		}
		seen[binding.Name] = true
		if binding.Kind == "" {
			reject("Kubernetes[%d] %q has no Kind", i, binding.Name)
		}
		// addon-operator knows these for a whole hook or not at all.
		if binding.AllowFailure != nil {
			reject("Kubernetes[%d] %q sets AllowFailure: addon-operator has no such setting for one binding", i, binding.Name)
		}
		if binding.ResynchronizationPeriod != "" {
			reject("Kubernetes[%d] %q sets ResynchronizationPeriod: addon-operator has none, use a Schedule", i, binding.Name)
		}
		// module-sdk v0.12 dereferences NameSelector unconditionally.
		if selector := binding.NamespaceSelector; selector != nil && selector.NameSelector == nil {
			reject("Kubernetes[%d] %q selects namespaces by label only: module-sdk needs NamespaceSelector.NameSelector", i, binding.Name)
		}
	}
	return errors.Join(errs...)
}

// validateAll checks each hook and that their names differ.
func validateAll(hooks []Hook) error {
	var errs []error
	seen := map[string]bool{}
	for _, hook := range hooks {
		if err := hook.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("hook %q: %w", hook.Name, err))
		}
		if seen[hook.Name] {
			errs = append(errs, fmt.Errorf("hook %q: another hook has this name", hook.Name))
		}
		seen[hook.Name] = true
	}
	return errors.Join(errs...)
}
