package moduleconfig

import (
	"errors"
	"fmt"
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
	// advice is for the person whose settings are in force all the same.
	advice []string
}

// decide judges what a ModuleConfig asks for (nil: it does not exist). An
// acceptable one takes effect whole. From one that is not, only switching the
// module off takes effect; for the rest lastGood stays in force. An update or a
// rollback may bring a schema that rejects parts of lastGood as well: those are
// left out of what takes effect, never the whole, as that would switch the module
// off and uninstall the mesh. lastGood itself stays for the version that knows it.
func decide(schema *Schema, wanted *Spec, readError error, lastGood *Spec) verdict {
	if wanted == nil && readError == nil {
		return verdict{}
	}
	version := strconv.Itoa(schema.version)
	var inForce Spec
	var leftOut []string
	if lastGood != nil {
		// An earlier release of the module may have stored it. What cannot be converted, prune leaves out.
		if converted, _, err := schema.convert(*lastGood); err == nil {
			lastGood = &converted
		}
		inForce, leftOut = schema.prune(*lastGood)
	}

	problems := []error{readError}
	if readError == nil {
		converted, advice, err := schema.convert(*wanted)
		switch {
		case err != nil:
			problems = []error{err}
		default:
			problems = schema.Check(converted, inForce.Settings)
			if schema.Settle != nil {
				converted.Settings = schema.Settle(converted.Settings)
			}
		}
		if len(problems) == 0 {
			problems = schema.checkNew(converted, lastGood)
		}
		if len(problems) == 0 {
			return verdict{effective: converted, lastGood: &converted, status: status{Version: versionInUse(*wanted, schema)}, advice: advice}
		}
	}

	out := verdict{lastGood: lastGood}
	consequence := "nothing of it is in force until it is corrected"
	if lastGood != nil {
		out.effective = inForce
		out.status.Version = version
		consequence = "the previous settings stay in force"
		if len(leftOut) > 0 {
			consequence += ", without those that this version of the module rejects (" + strings.Join(leftOut, ", ") + ")"
		}
	}
	if wanted != nil && wanted.isOff() {
		out.effective.Enabled = wanted.Enabled
		consequence = "the module is off"
	}
	out.status.Message = "Invalid, " + consequence + ": " + oneLine(problems)
	return out
}

// checkNew returns what Sense has against the settings of wanted, one error for each thing to correct, unless
// they are those of lastGood, which were accepted before.
func (s *Schema) checkNew(wanted Spec, lastGood *Spec) []error {
	var previous map[string]any
	if lastGood != nil {
		previous = lastGood.Settings
	}
	// Settings that were accepted once are not rejected because time has passed.
	if s.Sense == nil || lastGood != nil && reflect.DeepEqual(wanted.Settings, previous) {
		return nil
	}
	var out []error
	if err := s.Sense(copySettings(wanted.Settings), copySettings(previous)); err != nil {
		for _, problem := range flatten(err) {
			out = append(out, fmt.Errorf("%s.%w", settingsPath, problem))
		}
	}
	return out
}

// versionInUse is what Deckhouse writes into the status: the version that the person wrote the settings for.
func versionInUse(wanted Spec, schema *Schema) string {
	if wanted.Version == 0 {
		return strconv.Itoa(schema.version)
	}
	return strconv.Itoa(int(wanted.Version))
}

func oneLine(problems []error) string {
	return strings.ReplaceAll(errors.Join(problems...).Error(), "\n", "; ")
}
