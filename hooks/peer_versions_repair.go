package hooks

import (
	"strconv"

	sdk "github.com/deckhouse/module-sdk/pkg"
)

// versionsLimit is how many bytes of text the ConfigMaps may hold that
// metadata-watcher fills: far more than thousands of peers need, and half of what the API
// server accepts, so that there is always room for one more key.
const versionsLimit = 512 << 10

// unwritableFilter is a jq expression: why such a ConfigMap cannot be written any more, "" when it can.
var unwritableFilter = `(if .immutable == true then "it is immutable"
	elif (.binaryData // {} | length) > 0 then "it has binaryData"
	elif (.data // {} | tostring | length) > ` + strconv.Itoa(versionsLimit) + ` then "it is too large"
	else "" end)`

// unwritableBinding has a snapshot of why the kind's ConfigMap cannot be written.
func (k peerKind) unwritableBinding() sdk.KubernetesConfig {
	return withoutEvents(configMapBinding("unwritable", k.versions, unwritableFilter))
}
