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
	lastGood = schema.convertLastGood(lastGood)
	var inForce Spec
	var leftOut []string
	if lastGood != nil {
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

// convertLastGood returns the settings to fall back to as an earlier release of the module may have stored them, converted.
func (s *Schema) convertLastGood(stored *Spec) *Spec {
	if stored == nil {
		return nil
	}
	converted, _, err := s.convert(*stored)
	if err != nil {
		return stored // the schema leaves out what it rejects
	}
	return &converted
}

// checkNew returns what Sense has against wanted, unless the settings are those of lastGood, which were accepted before.
func (s *Schema) checkNew(wanted Spec, lastGood *Spec) []error {
	if lastGood == nil {
		return s.CheckSense(wanted, nil)
	}
	// Settings that were accepted once are not rejected because time has passed.
	if reflect.DeepEqual(wanted.Settings, lastGood.Settings) {
		return nil
	}
	return s.CheckSense(wanted, lastGood.Settings)
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
