// Command enabled is what Deckhouse asks whether the module may be on: it is the
// file enabled in the module's folder, in bundles that have a second name. It
// answers no while the istio that the platform has in itself is on, with the
// reason that the status of the Module shows.
//
// An error ends it without an answer. Deckhouse then changes no module until it
// gets one; a guess would delete a mesh that runs, or install a second one.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/deckhouse-mesh/istio/lib/embedded"
	"github.com/deckhouse-mesh/istio/lib/names"
)

func main() {
	if err := answer(names.Module(), os.Getenv); err != nil {
		fmt.Fprintf(os.Stderr, "enabled: %v\n", err)
		os.Exit(1)
	}
}

// answer writes to the files that addon-operator names in the environment.
func answer(module string, env func(string) string) error {
	raw, err := os.ReadFile(env("VALUES_PATH"))
	if err != nil {
		return fmt.Errorf("read the values: %w", err)
	}
	var values struct {
		Global struct {
			// EnabledModules are those that start before this one; the embedded istio does.
			EnabledModules json.RawMessage `json:"enabledModules"`
		} `json:"global"`
	}
	if err := json.Unmarshal(raw, &values); err != nil {
		return fmt.Errorf("decode the values: %w", err)
	}
	if values.Global.EnabledModules == nil {
		return fmt.Errorf("the values have no global.enabledModules: cannot determine whether the module %s is on", names.Embedded)
	}
	var enabled []string
	if err := json.Unmarshal(values.Global.EnabledModules, &enabled); err != nil {
		return fmt.Errorf("decode the values global.enabledModules: %w", err)
	}
	if !embedded.Yields(module, enabled) {
		return write(env("MODULE_ENABLED_RESULT"), "true")
	}
	if err := write(env("MODULE_ENABLED_REASON"), embedded.Reason(module)); err != nil {
		return err
	}
	return write(env("MODULE_ENABLED_RESULT"), "false")
}

func write(file, content string) error {
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}
