package hookruntime

import (
	"encoding/json"
	"fmt"

	gohook "github.com/flant/addon-operator/pkg/module_manager/go_hook"
	"github.com/flant/shell-operator/pkg/filter/jq"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/cache"
)

// jqFilter compiles expression into a filter function. Its results are
// json.RawMessage: the JSON that shell-operator would pass to a hook in another
// process, and what addon-operator takes the checksum of. An empty expression
// keeps the object whole.
func jqFilter(expression string) (gohook.FilterFunc, error) {
	if expression == "" {
		expression = "."
	}
	program, err := jq.Compile(expression)
	if err != nil {
		return nil, fmt.Errorf("compile jq filter %q: %w", expression, err)
	}
	return func(object *unstructured.Unstructured) (gohook.FilterResult, error) {
		result, err := program.Apply(object.UnstructuredContent())
		if err != nil {
			return nil, fmt.Errorf("filter %s %q: %w", object.GetKind(), cache.MetaObjectToName(object), err)
		}
		return json.RawMessage(result), nil
	}, nil
}
