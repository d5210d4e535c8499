// Package crdschema compares CustomResourceDefinitions: a CRD that knows more
// than another must not be replaced by it, for the API server would then prune
// what people have written into their objects.
package crdschema

import (
	"bytes"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// Beyond lists what installed has and candidate has not: served versions
// ("v2"), properties ("v1 .spec.newField") and values of enumerations
// ("v1 .spec.mode=NEW"), sorted. It is empty when candidate can replace
// installed and no object loses anything.
func Beyond(installed, candidate *apiextensionsv1.CustomResourceDefinition) []string {
	var more []string
	for _, version := range installed.Spec.Versions {
		if !version.Served {
			continue
		}
		index := slices.IndexFunc(candidate.Spec.Versions, func(each apiextensionsv1.CustomResourceDefinitionVersion) bool {
			return each.Name == version.Name && each.Served
		})
		if index < 0 {
			more = append(more, version.Name)
			continue
		}
		compare(schemaOf(version), schemaOf(candidate.Spec.Versions[index]), version.Name+" ", &more)
	}
	slices.Sort(more)
	return slices.Compact(more)
}

func schemaOf(version apiextensionsv1.CustomResourceDefinitionVersion) *apiextensionsv1.JSONSchemaProps {
	if version.Schema == nil {
		return nil
	}
	return version.Schema.OpenAPIV3Schema
}

// compare adds to more what the schema at path has beyond other.
func compare(schema, other *apiextensionsv1.JSONSchemaProps, path string, more *[]string) {
	switch {
	case schema == nil:
		return
	case other == nil || other.XPreserveUnknownFields != nil && *other.XPreserveUnknownFields:
		return // nothing is pruned there
	}
	for name := range schema.Properties {
		property := schema.Properties[name]
		counterpart, found := other.Properties[name]
		if !found {
			*more = append(*more, path+"."+name)
			continue
		}
		compare(&property, &counterpart, path+"."+name, more)
	}
	compareEnum(schema.Enum, other.Enum, path, more)
	if schema.Items != nil && other.Items != nil {
		compare(schema.Items.Schema, other.Items.Schema, path+"[]", more)
	}
	if schema.AdditionalProperties != nil && other.AdditionalProperties != nil {
		compare(schema.AdditionalProperties.Schema, other.AdditionalProperties.Schema, path+".*", more)
	}
}

func compareEnum(values, others []apiextensionsv1.JSON, path string, more *[]string) {
	if len(others) == 0 {
		return // anything is allowed there
	}
	for _, value := range values {
		if !slices.ContainsFunc(others, func(other apiextensionsv1.JSON) bool { return bytes.Equal(other.Raw, value.Raw) }) {
			*more = append(*more, path+"="+strings.Trim(string(value.Raw), `"`))
		}
	}
}
