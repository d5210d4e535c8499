package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	meshv1alpha1 "istio.io/api/mesh/v1alpha1"
)

// provider is one of extensionProviders, as the person wrote it.
type provider = map[string]json.RawMessage

// checkProviders rejects providers in the setting of this name that istiod would not understand or not use. It reads
// the whole mesh's configuration at once, so that one bad provider would keep
// every other change from taking effect.
func checkProviders(setting string, providers []provider) []error {
	var problems []error
	for index, written := range providers {
		var name string
		_ = json.Unmarshal(written["name"], &name) // what is no string is none
		problem := func(format string, arguments ...any) {
			problems = append(problems, fmt.Errorf("%s[%d]: %q "+format, append([]any{setting, index, name}, arguments...)...))
		}
		if count := kinds(written); len(count) != 1 {
			has := "no provider"
			if len(count) > 1 {
				has = strings.Join(count, " and ")
			}
			problem("has %s: set exactly one provider, such as envoyExtAuthzHttp", has)
			continue
		}
		for _, err := range checkProvider(written) {
			problem("%w", err)
		}
	}
	return problems
}

// kinds are the providers that an entry has beside its name.
func kinds(written provider) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(written)), func(key string) bool { return key == "name" })
}

// checkProvider looks at an entry with one provider.
func checkProvider(written provider) []error {
	encoded, err := json.Marshal(written)
	if err != nil {
		return []error{fmt.Errorf("cannot be read: %w", err)}
	}
	read := &meshv1alpha1.MeshConfig_ExtensionProvider{}
	if err := protojson.Unmarshal(encoded, read); err != nil {
		return []error{fmt.Errorf("is not as Istio's MeshConfig.extensionProviders describes it: %s", withoutPlace(err))}
	}
	message := read.ProtoReflect()
	kind := message.WhichOneof(message.Descriptor().Oneofs().ByName("provider"))
	if kind == nil {
		return []error{errors.New("has an empty provider: set exactly one provider, such as envoyExtAuthzHttp")}
	}
	var problems []error
	for _, err := range checkService(message.Get(kind).Message()) {
		problems = append(problems, fmt.Errorf("is incomplete: %s.%w", kind.JSONName(), err))
	}
	return problems
}

// place is where the library found a mistake in the JSON, which no person has written.
var place = regexp.MustCompile(`^proto:[\s\x{a0}]*(syntax error )?(\(line \d+:\d+\): )?`)

func withoutPlace(err error) string { return place.ReplaceAllString(err.Error(), "") }

// checkService rejects a provider that lacks the Service and the port of its kind.
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
		problems = append(problems, fmt.Errorf("port: %d is not a TCP port: use a number from 1 to 65535", number))
	}
	return problems
}
