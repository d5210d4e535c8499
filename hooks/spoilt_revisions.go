package hooks

import (
	"strconv"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

// revisionsLimit is how many bytes of text the ConfigMaps may hold that
// metadata-exporter fills: far more than thousands of peers need, and half of what the API
// server takes, so that there is always room for one more key.
const revisionsLimit = 512 << 10

// spoiltFilter is a jq expression: why nobody can write into such a ConfigMap any more, "" when one can.
var spoiltFilter = `(if .immutable == true then "it is immutable"
	elif (.binaryData // {} | length) > 0 then "it has binaryData"
	elif (.data // {} | tostring | length) > ` + strconv.Itoa(revisionsLimit) + ` then "it holds too much"
	else "" end)`

// spoiltBinding keeps in a snapshot why the kind's ConfigMap cannot be written,
// without waking the hook.
func (k joinKind[R, S]) spoiltBinding() sdk.KubernetesConfig {
	return sdk.KubernetesConfig{
		Name:                         "spoilt",
		APIVersion:                   "v1",
		Kind:                         "ConfigMap",
		NamespaceSelector:            inNamespace(v1alpha1.Namespace),
		NameSelector:                 named(k.revisions),
		ExecuteHookOnEvents:          &no,
		ExecuteHookOnSynchronization: &no,
		JqFilter:                     spoiltFilter,
	}
}
