package settings

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/api/resource"
)

// quantity of Kubernetes, as a person wrote it; empty for none. JSON has it as text or as a number.
type quantity string

// UnmarshalJSON takes null for none, also where there is a default.
func (q *quantity) UnmarshalJSON(raw []byte) error {
	*q = ""
	if len(raw) > 0 && raw[0] == '"' {
		return json.Unmarshal(raw, (*string)(q))
	}
	var number *json.Number
	if err := json.Unmarshal(raw, &number); err != nil {
		return err
	}
	if number != nil {
		*q = quantity(*number)
	}
	return nil
}

// amounts of CPU and memory.
type amounts struct {
	CPU    quantity `json:"cpu"`
	Memory quantity `json:"memory"`
}

// limits are amounts of which null and 0 mean none.
type limits amounts

// UnmarshalJSON takes null for none, also where there are defaults.
func (l *limits) UnmarshalJSON(raw []byte) error {
	if string(raw) == "null" {
		*l = limits{}
		return nil
	}
	if err := json.Unmarshal(raw, (*amounts)(l)); err != nil {
		return err
	}
	for _, limit := range []*quantity{&l.CPU, &l.Memory} {
		if parsed, err := resource.ParseQuantity(string(*limit)); err == nil && parsed.IsZero() {
			*limit = ""
		}
	}
	return nil
}

// bounds of one resource under vertical autoscaling.
type bounds struct {
	Min        quantity `json:"min"`
	Max        quantity `json:"max"`
	LimitRatio float64  `json:"limitRatio"`
}

type resources struct {
	Static struct {
		Requests amounts `json:"requests"`
		Limits   limits  `json:"limits"`
	} `json:"static"`
	VPA struct {
		CPU    bounds `json:"cpu"`
		Memory bounds `json:"memory"`
	} `json:"vpa"`
}

// check looks at both modes: a mistake in the mode that is not in force would only show when it is switched on.
// ratioReplacesMax is true where a maximum is a limit, which a ratio decides if there is one.
func (r resources) check(name string, ratioReplacesMax bool) []error {
	var problems []error
	compare := func(lessName string, less quantity, moreName string, more quantity) {
		if err := checkOrder(name+"."+lessName, less, name+"."+moreName, more); err != nil {
			problems = append(problems, err)
		}
	}
	compare("static.requests.cpu", r.Static.Requests.CPU, "static.limits.cpu", r.Static.Limits.CPU)
	compare("static.requests.memory", r.Static.Requests.Memory, "static.limits.memory", r.Static.Limits.Memory)
	if r.VPA.CPU.LimitRatio == 0 || !ratioReplacesMax {
		compare("vpa.cpu.min", r.VPA.CPU.Min, "vpa.cpu.max", r.VPA.CPU.Max)
	}
	if r.VPA.Memory.LimitRatio == 0 || !ratioReplacesMax {
		compare("vpa.memory.min", r.VPA.Memory.Min, "vpa.memory.max", r.VPA.Memory.Max)
	}
	return problems
}

// checkOrder rejects quantities that cannot be read, and a first one above the second. An empty text is fine.
func checkOrder(lessName string, less quantity, moreName string, more quantity) error {
	if less == "" {
		return nil
	}
	least, err := resource.ParseQuantity(string(less))
	if err != nil {
		return fmt.Errorf("%s: %q is not a Kubernetes quantity: write it as 500m or 2Gi", lessName, less)
	}
	if more == "" {
		return nil
	}
	most, err := resource.ParseQuantity(string(more))
	if err != nil {
		return fmt.Errorf("%s: %q is not a Kubernetes quantity: write it as 500m or 2Gi", moreName, more)
	}
	if least.Cmp(most) > 0 {
		return fmt.Errorf("%s: %s is more than %s, which is %s: lower the former or raise the latter", lessName, less, moreName, more)
	}
	return nil
}
