package settings

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
)

// scheduling says which nodes run Pods. The API server rejects a whole Pod
// template for one mistake in it, and with it every other change of the module.
type scheduling struct {
	NodeSelector map[string]string   `json:"nodeSelector"`
	Tolerations  []corev1.Toleration `json:"tolerations"`
}

// check looks at the settings below prefix, which is empty or ends in a dot.
func (s scheduling) check(prefix string) []error {
	return append(checkLabels(prefix+"nodeSelector", s.NodeSelector), checkTolerations(prefix+"tolerations", s.Tolerations)...)
}

const (
	keyShape = "a name of at most 63 letters, digits, '-', '_' and '.' that begins and ends with a letter or digit, " +
		"with or without a DNS name in lower case and a slash before it"
	valueShape = "at most 63 letters, digits, '-', '_' and '.' that begin and end with a letter or digit, or nothing"
)

// checkLabels rejects texts that cannot be labels.
func checkLabels(name string, labels map[string]string) []error {
	var problems []error
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if !isKey(key) {
			problems = append(problems, fmt.Errorf("%s: %q is not a label key: use %s", name, key, keyShape))
		}
		if !isLabelValue(labels[key]) {
			problems = append(problems, fmt.Errorf("%s: %q, the value of %q, is not a label value: use %s", name, labels[key], key, valueShape))
		}
	}
	return problems
}

// checkAnnotations rejects texts that cannot be annotations.
func checkAnnotations(name string, annotations map[string]string) []error {
	var problems []error
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		// Kubernetes does not mind capitals here.
		if !isKey(strings.ToLower(key)) {
			problems = append(problems, fmt.Errorf("%s: %q is not an annotation key: use %s", name, key, keyShape))
		}
	}
	if apivalidation.ValidateAnnotationsSize(annotations) != nil {
		problems = append(problems, fmt.Errorf("%s: is too large: use at most %d bytes for keys and values together", name, apivalidation.TotalAnnotationSizeLimitB))
	}
	return problems
}

// checkTolerations follows Kubernetes' own ValidateTolerations (pkg/apis/core/validation).
func checkTolerations(name string, tolerations []corev1.Toleration) []error {
	var problems []error
	for index, toleration := range tolerations {
		reject := func(format string, arguments ...any) {
			problems = append(problems, fmt.Errorf("%s[%d]: "+format, append([]any{name, index}, arguments...)...))
		}
		exists := toleration.Operator == corev1.TolerationOpExists
		switch {
		case toleration.Key == "" && !exists:
			reject("has no key, which means every key: set operator to Exists")
		case toleration.Key != "" && !isKey(toleration.Key):
			reject("key %q is not a taint key: use %s", toleration.Key, keyShape)
		}
		switch {
		case exists && toleration.Value != "":
			reject("value is %q, but operator Exists compares no value: remove the value or set operator to Equal", toleration.Value)
		case !exists && !isLabelValue(toleration.Value):
			reject("value %q is not a taint value: use %s", toleration.Value, valueShape)
		}
		if toleration.TolerationSeconds != nil && toleration.Effect != corev1.TaintEffectNoExecute {
			reject("tolerationSeconds is %d, but only effect %s uses it: set this effect or remove tolerationSeconds", *toleration.TolerationSeconds, corev1.TaintEffectNoExecute)
		}
	}
	return problems
}

func isKey(text string) bool { return len(validation.IsQualifiedName(text)) == 0 }

func isLabelValue(text string) bool { return len(validation.IsValidLabelValue(text)) == 0 }
