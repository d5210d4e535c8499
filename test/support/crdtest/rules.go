package crdtest

import (
	"errors"
	"fmt"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

const (
	// costLimit of one rule and totalCostLimit of all rules of a definition are
	// the API server's, in CEL cost units (StaticEstimatedCostLimit and
	// StaticEstimatedCRDCostLimit of apiextensions/validation).
	costLimit      = 10_000_000
	totalCostLimit = 100_000_000
)

// checkRules compiles every CEL rule of the schema and estimates its worst-case
// cost, as the API server does before it accepts a definition.
func checkRules(root *schema.Structural) error {
	total := uint64(0)
	var errs []error
	walk("", root, 1, func(path string, node *schema.Structural, cardinality uint64) {
		if len(node.XValidations) == 0 {
			return
		}
		compiled, err := cel.Compile(node, model.SchemaDeclType(node, node == root), celconfig.PerCallLimit,
			environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()), cel.NewExpressionsEnvLoader())
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
			return
		}
		for i, result := range compiled {
			rule := node.XValidations[i].Rule
			if result.Error != nil {
				errs = append(errs, fmt.Errorf("%s: rule %s: %w", path, rule, result.Error))
				continue
			}
			cost := result.MaxCost * min(cardinality, result.MaxCardinality)
			if cost > costLimit {
				errs = append(errs, fmt.Errorf("%s: rule %s costs up to %d, more than %d", path, rule, cost, costLimit))
			}
			total += cost
		}
	})
	if total > totalCostLimit {
		errs = append(errs, fmt.Errorf("all rules together cost up to %d, more than %d", total, totalCostLimit))
	}
	return errors.Join(errs...)
}

// walk calls do for the node and all below it; cardinality is how often the node can
// occur in one object, as far as maxItems and maxProperties say.
func walk(path string, node *schema.Structural, cardinality uint64, do func(string, *schema.Structural, uint64)) {
	do(path, node, cardinality)
	for name, child := range node.Properties {
		walk(path+"."+name, &child, cardinality, do)
	}
	if node.Items != nil {
		walk(path+"[]", node.Items, times(cardinality, node.ValueValidation.MaxItems), do)
	}
	if node.AdditionalProperties != nil && node.AdditionalProperties.Structural != nil {
		walk(path+"{}", node.AdditionalProperties.Structural, times(cardinality, node.ValueValidation.MaxProperties), do)
	}
}

// unlimited stands for lists without maxItems: the request's size is their only limit.
const unlimited = uint64(celconfig.MaxRequestSizeBytes)

func times(cardinality uint64, most *int64) uint64 {
	if most == nil || cardinality >= unlimited {
		return unlimited
	}
	return cardinality * uint64(*most)
}
