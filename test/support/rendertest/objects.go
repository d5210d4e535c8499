package rendertest

import (
	"fmt"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/releaseutil"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	networkingv1alpha3 "istio.io/client-go/pkg/apis/networking/v1alpha3"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	telemetryv1 "istio.io/client-go/pkg/apis/telemetry/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/lib/names"
)

// moduleNamespace is where the module lives.
const moduleNamespace = names.Namespace

// Objects are the rendered objects by "Kind/name", or "Kind/namespace/name" for
// those in a namespace that is not the module's own.
type Objects map[string]*unstructured.Unstructured

func parseObjects(files map[string]string) (Objects, error) {
	objects := Objects{}
	for file, content := range files {
		if !strings.HasSuffix(file, ".yaml") {
			continue
		}
		for _, manifest := range releaseutil.SplitManifests(content) {
			var object map[string]any
			if err := yaml.UnmarshalStrict([]byte(manifest), &object); err != nil {
				return nil, fmt.Errorf("%s rendered what is not YAML: %w", file, err)
			}
			if len(object) == 0 {
				continue
			}
			u := &unstructured.Unstructured{Object: object}
			key := u.GetKind() + "/" + u.GetName()
			if namespace := u.GetNamespace(); namespace != "" && namespace != moduleNamespace {
				key = u.GetKind() + "/" + namespace + "/" + u.GetName()
			}
			if _, twice := objects[key]; twice {
				return nil, fmt.Errorf("%s renders %s, which another template renders, too", file, key)
			}
			objects[key] = u
		}
	}
	return objects, nil
}

// Keys lists the objects by their keys, sorted.
func (o Objects) Keys() []string {
	keys := make([]string, 0, len(o))
	for key := range o {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// Decode turns the object with this key into its Go type. Unknown and doubled fields are errors.
func Decode[T runtime.Object](objects Objects, key string) (T, error) {
	var none T
	u, ok := objects[key]
	if !ok {
		return none, fmt.Errorf("%s was not rendered; there are %s", key, strings.Join(objects.Keys(), ", "))
	}
	object, err := decode(u)
	if err != nil {
		return none, fmt.Errorf("%s: %w", key, err)
	}
	typed, ok := object.(T)
	if !ok {
		return none, fmt.Errorf("%s is a %T, not a %T", key, object, none)
	}
	return typed, nil
}

var strictDecoder = func() runtime.Decoder {
	types := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		scheme.AddToScheme, networkingv1.AddToScheme, networkingv1alpha3.AddToScheme, securityv1.AddToScheme, telemetryv1.AddToScheme,
	} {
		if err := add(types); err != nil {
			panic(err) // two Go types for one kind: a programming error
		}
	}
	return json.NewSerializerWithOptions(json.DefaultMetaFactory, types, types, json.SerializerOptions{Strict: true})
}()

func decode(u *unstructured.Unstructured) (runtime.Object, error) {
	document, err := u.MarshalJSON()
	if err != nil {
		return nil, err
	}
	object, _, err := strictDecoder.Decode(document, nil, nil)
	return object, err
}
