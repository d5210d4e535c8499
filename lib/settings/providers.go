package settings

import (
	"encoding/json"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	meshv1alpha1 "istio.io/api/mesh/v1alpha1"
)

// TracingProvider is the name of the extension provider that the module makes
// of tracing.collector; templates/istiod/_mesh.tpl uses it.
const TracingProvider = "d8-tracing"

// provider is one of extensionProviders, as the person wrote it.
type provider = json.RawMessage

// checkProviders refuses what istiod would not understand or not use. It reads
// the whole mesh's configuration at once, so that one bad provider would keep
// every other change from taking effect.
func checkProviders(providers []provider) []error {
	var problems []error
	seen := map[string]bool{TracingProvider: true}
	for index, text := range providers {
		problem := func(format string, arguments ...any) {
			problems = append(problems, fmt.Errorf("extensionProviders[%d]: "+format, append([]any{index}, arguments...)...))
		}
		read := &meshv1alpha1.MeshConfig_ExtensionProvider{}
		if err := protojson.Unmarshal(text, read); err != nil {
			problem("is not as Istio's MeshConfig.extensionProviders describes it: %w", err)
			continue
		}
		if seen[read.GetName()] {
			problem("the name %q is taken: names are unique, and %s is the module's own", read.GetName(), TracingProvider)
		}
		seen[read.GetName()] = true
		kind := read.ProtoReflect().WhichOneof(read.ProtoReflect().Descriptor().Oneofs().ByName("provider"))
		if kind == nil {
			problem("%q is a name without a provider: add one, such as envoyExtAuthzHttp", read.GetName())
			continue
		}
		for _, err := range checkService(read.ProtoReflect().Get(kind).Message()) {
			problem("%s.%w", kind.JSONName(), err)
		}
	}
	return problems
}

// checkService refuses a provider without the Service and port that its kind is reached at.
func checkService(kind protoreflect.Message) []error {
	fields := kind.Descriptor().Fields()
	service, port := fields.ByName("service"), fields.ByName("port")
	if service == nil || port == nil {
		return nil
	}
	var problems []error
	if kind.Get(service).String() == "" {
		problems = append(problems, errors.New("service: is missing: the name of a Service or of a ServiceEntry's host"))
	}
	if number := kind.Get(port).Uint(); number == 0 || number > 65535 {
		problems = append(problems, fmt.Errorf("port: %d is no TCP port, which is a number from 1 to 65535", number))
	}
	return problems
}
