package moduleconfig

import (
	"errors"
	"reflect"
	"strconv"
	"strings"
)

// verdict is what follows from a ModuleConfig.
type verdict struct {
	// effective is what the module runs with.
	effective Spec
	// lastGood is what to fall back to from now on; nil when there is nothing.
	lastGood *Spec
	// status is what the ModuleConfig's status says.
	status status
}

// decide judges what a ModuleConfig asks for (nil: it does not exist). An
// acceptable one takes effect whole. From one that is not, only switching the
// module off takes effect; for the rest lastGood stays in force, unless it is
// not acceptable any more either, because the schema has changed with an update.
func decide(schema *Schema, wanted *Spec, readError error, lastGood *Spec) verdict {
	if wanted == nil && readError == nil {
		return verdict{}
	}
	version := strconv.Itoa(schema.version)
	if lastGood != nil && len(schema.Check(*lastGood, nil)) > 0 {
		lastGood = nil
	}

	problems := []error{readError}
	if readError == nil {
		var previous map[string]any
		if lastGood != nil {
			previous = lastGood.Settings
		}
		problems = schema.Check(*wanted, previous)
		// What was accepted once is not refused for the time that has passed since, such as an expired CA.
		if len(problems) == 0 && (lastGood == nil || !reflect.DeepEqual(wanted.Settings, lastGood.Settings)) {
			problems = schema.CheckSense(*wanted)
		}
	}
	if len(problems) == 0 {
		return verdict{effective: *wanted, lastGood: wanted, status: status{Version: version}}
	}

	out := verdict{lastGood: lastGood}
	consequence := "nothing of it is in force until it is corrected"
	if lastGood != nil {
		out.effective = *lastGood
		out.status.Version = version
		consequence = "the previous settings stay in force"
	}
	if wanted != nil && wanted.isOff() {
		out.effective.Enabled = wanted.Enabled
		consequence = "the module is off"
	}
	out.status.Message = "Invalid, " + consequence + ": " + join(problems)
	return out
}

func join(problems []error) string {
	return strings.ReplaceAll(errors.Join(problems...).Error(), "\n", "; ")
}
