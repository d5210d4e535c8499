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
	var accepted map[string]any
	if lastGood != nil {
		inForce, leftOut = schema.prune(*lastGood)
		accepted = lastGood.Settings
	}

	problems := []error{readError}
	if readError == nil {
		problems = schema.Check(*wanted, inForce.Settings)
		// Settings that were accepted once are not rejected because time has passed.
		if len(problems) == 0 && (lastGood == nil || !reflect.DeepEqual(wanted.Settings, accepted)) {
			problems = schema.CheckSense(*wanted, accepted)
		}
	}
	if len(problems) == 0 {
		return verdict{effective: *wanted, lastGood: wanted, status: status{Version: version}}
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

func oneLine(problems []error) string {
	return strings.ReplaceAll(errors.Join(problems...).Error(), "\n", "; ")
}
