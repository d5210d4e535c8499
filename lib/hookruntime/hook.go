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

	// Resident, unless nil, takes the place of Config and Run where the process
	// lives on between runs (addon-operator): there a hook may watch by itself and
	// remember, for what would cost too much to read and compare in every run. It
	// has to come to the same as Run.
	Resident *Resident
}

// Resident is how a hook runs in a process that lives on between its runs. It
// runs in one queue, so that of what it remembers nothing is overtaken:
// addon-operator runs Kubernetes and Schedule bindings in the hook's own queue,
// at the same time as all others in the queue "main".
type Resident struct {
	Config pkg.HookConfig
	Run    func(ctx context.Context, in *pkg.HookInput) error
}

// resident is the hook as it runs in a process that lives on.
func (h Hook) resident() Hook {
	if h.Resident == nil {
		return h
	}
	return Hook{Name: h.Name, Config: h.Resident.Config, Run: h.Resident.Run}
}

// mainQueue is addon-operator's name for the queue of everything that is not given another.
const mainQueue = "main"

// runsInTwoQueues is true when addon-operator may start a run while another goes on.
func runsInTwoQueues(config pkg.HookConfig) bool {
	own := config.Queue != "" && config.Queue != mainQueue && len(config.Kubernetes)+len(config.Schedule) > 0
	return own && runsInMain(config)
}

func runsInMain(config pkg.HookConfig) bool {
	return config.OnStartup != nil || config.OnBeforeHelm != nil || config.OnAfterHelm != nil ||
		config.OnBeforeDeleteHelm != nil || config.OnAfterDeleteHelm != nil
}

var hookName = regexp.MustCompile(`^[a-z0-9]+(_[a-z0-9]+)*$`)

// Validate returns everything that would keep h from behaving the same in both
// runtimes: a field one of them ignores is an error, not a surprise.
func (h Hook) Validate() error {
	var errs []error
	if h.Resident != nil {
		if err := h.resident().Validate(); err != nil {
			errs = append(errs, fmt.Errorf("resident: %w", err))
		}
		if runsInTwoQueues(h.Resident.Config) {
			errs = append(errs, fmt.Errorf("resident: OnStartup and the bindings around Helm run in the queue %q, Kubernetes and Schedule in %q: keep to one queue, "+
				"as two runs at a time would overtake each other in what the process remembers", mainQueue, h.Resident.Config.Queue))
		}
	}
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
		reject("a limit of its runs and OnStartup or bindings around Helm exclude each other: addon-operator waits for the limit in queue %q, where it holds up "+
			"all modules; make the bindings around Helm a hook of its own", mainQueue)
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
