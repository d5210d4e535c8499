package settings

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/resource"
)

// amounts of CPU and memory, as quantities of Kubernetes.
type amounts struct {
	CPU    string `json:"cpu"`
	Memory string `json:"memory"`
}

// bounds of one resource under vertical autoscaling.
type bounds struct {
	Min string `json:"min"`
	Max string `json:"max"`
	// LimitRatio makes max irrelevant where it is allowed.
	LimitRatio float64 `json:"limitRatio"`
}

type resources struct {
	Static struct {
		Requests amounts `json:"requests"`
		Limits   amounts `json:"limits"`
	} `json:"static"`
	VPA struct {
		CPU    bounds `json:"cpu"`
		Memory bounds `json:"memory"`
	} `json:"vpa"`
}

// check looks at both modes: a mistake in the mode that is not in force would only show when it is switched on.
func (r resources) check(name string) []error {
	var problems []error
	compare := func(lessName, less, moreName, more string) {
		if err := checkOrder(name+"."+lessName, less, name+"."+moreName, more); err != nil {
			problems = append(problems, err)
		}
	}
	compare("static.requests.cpu", r.Static.Requests.CPU, "static.limits.cpu", r.Static.Limits.CPU)
	compare("static.requests.memory", r.Static.Requests.Memory, "static.limits.memory", r.Static.Limits.Memory)
	if r.VPA.CPU.LimitRatio == 0 {
		compare("vpa.cpu.min", r.VPA.CPU.Min, "vpa.cpu.max", r.VPA.CPU.Max)
	}
	if r.VPA.Memory.LimitRatio == 0 {
		compare("vpa.memory.min", r.VPA.Memory.Min, "vpa.memory.max", r.VPA.Memory.Max)
	}
	return problems
}

// checkOrder rejects quantities that cannot be read, and a first one above the second. An empty text is fine.
func checkOrder(lessName, less, moreName, more string) error {
	if less == "" {
		return nil
	}
	least, err := resource.ParseQuantity(less)
	if err != nil {
		return fmt.Errorf("%s: %q is not a Kubernetes quantity: write it as 500m or 2Gi", lessName, less)
	}
	if more == "" {
		return nil
	}
	most, err := resource.ParseQuantity(more)
	if err != nil {
		return fmt.Errorf("%s: %q is not a Kubernetes quantity: write it as 500m or 2Gi", moreName, more)
	}
	if least.Cmp(most) > 0 {
		return fmt.Errorf("%s: %s is more than %s, which is %s: lower the former or raise the latter", lessName, less, moreName, more)
	}
	return nil
}
