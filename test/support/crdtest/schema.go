// Package crdtest checks custom resources as the API server would, with the
// schema and the CEL rules of a CustomResourceDefinition, without an API server.
package crdtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// Schema is one version of one custom resource.
type Schema struct {
	Definition *apiextensionsv1.CustomResourceDefinition

	structural *schema.Structural
	openapi    validation.SchemaValidator
	rules      *cel.Validator
}

// Load reads a CustomResourceDefinition with one version from a YAML file and
// checks it as the API server does on creation: the schema is structural, its
// defaults are valid, and its CEL rules compile and stay within their cost budget.
func Load(path string) (*Schema, error) {
	document, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	definition := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(document, definition); err != nil {
		return nil, fmt.Errorf("parse %s: %w", path, err)
	}
	if len(definition.Spec.Versions) != 1 {
		return nil, fmt.Errorf("%s: %d versions, want one", path, len(definition.Spec.Versions))
	}
	return newSchema(path, definition, definition.Spec.Versions[0].Name)
}

// LoadVersion reads one version of the CustomResourceDefinition of that name
// from a YAML file with many, and checks it like Load.
func LoadVersion(path, name, version string) (*Schema, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	documents := utilyaml.NewYAMLReader(bufio.NewReader(file))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s: there is no CustomResourceDefinition %s", path, name)
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		definition := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.Unmarshal(document, definition); err != nil {
			return nil, fmt.Errorf("parse %s: %w", path, err)
		}
		if definition.Name == name {
			return newSchema(path+", "+name, definition, version)
		}
	}
}

func newSchema(source string, definition *apiextensionsv1.CustomResourceDefinition, version string) (*Schema, error) {
	loaded := &Schema{Definition: definition.DeepCopy()}
	definition.Spec.Versions = slices.DeleteFunc(definition.Spec.Versions, func(each apiextensionsv1.CustomResourceDefinitionVersion) bool {
		return each.Name != version
	})
	if len(definition.Spec.Versions) != 1 {
		return nil, fmt.Errorf("%s: there is no version %s", source, version)
	}

	apiextensionsv1.SetDefaults_CustomResourceDefinition(definition)
	apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&definition.Spec)
	internal := &apiextensions.CustomResourceDefinition{}
	err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(definition, internal, nil)
	if err != nil {
		return nil, fmt.Errorf("convert %s: %w", source, err)
	}
	props := internal.Spec.Versions[0].Schema
	if props == nil { // conversion moves the schema up when there is one version
		props = internal.Spec.Validation
	}
	if loaded.structural, err = schema.NewStructural(props.OpenAPIV3Schema); err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	if errs := schema.ValidateStructural(nil, loaded.structural); len(errs) > 0 {
		return nil, fmt.Errorf("%s is not structural: %w", source, errs.ToAggregate())
	}
	errs, err := defaulting.ValidateDefaults(context.Background(), nil, loaded.structural, true, true)
	if err != nil {
		return nil, fmt.Errorf("%s: check defaults: %w", source, err)
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("%s: defaults: %w", source, errs.ToAggregate())
	}
	if err := checkRules(loaded.structural); err != nil {
		return nil, fmt.Errorf("%s: x-kubernetes-validations: %w", source, err)
	}
	if loaded.openapi, _, err = validation.NewSchemaValidator(props.OpenAPIV3Schema); err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	loaded.rules = cel.NewValidator(loaded.structural, true, celconfig.PerCallLimit)
	return loaded, nil
}

// Validate returns what the API server would object to when this object is
// created. Unknown fields are objections, too; kubectl reports those by default.
func (s *Schema) Validate(object map[string]any) error {
	object = runtime.DeepCopyJSON(object)
	defaulting.Default(object, s.structural)
	unknown := pruning.PruneWithOptions(runtime.DeepCopyJSON(object), s.structural, true,
		schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	if len(unknown) > 0 {
		return fmt.Errorf("unknown fields %v", unknown)
	}
	errs := validation.ValidateCustomResource(nil, object, s.openapi)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, s.structural, object)...)
	if len(errs) == 0 { // rules see only what has the right types
		ruleErrs, _ := s.rules.Validate(context.Background(), nil, s.structural, object, nil, celconfig.RuntimeCELCostBudget)
		errs = append(errs, ruleErrs...)
	}
	return errs.ToAggregate()
}

// Default returns a copy of the object with the schema's defaults, as the API server would store it.
func (s *Schema) Default(object map[string]any) map[string]any {
	object = runtime.DeepCopyJSON(object)
	defaulting.Default(object, s.structural)
	return object
}
