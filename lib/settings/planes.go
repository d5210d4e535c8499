package settings

import (
	"errors"
	"fmt"
	"time"
)

type sidecar struct {
	IncludeOutboundIPRanges []string  `json:"includeOutboundIPRanges"`
	ExcludeOutboundIPRanges []string  `json:"excludeOutboundIPRanges"`
	ExcludeInboundPorts     []string  `json:"excludeInboundPorts"`
	ExcludeOutboundPorts    []string  `json:"excludeOutboundPorts"`
	ResourcesManagement     resources `json:"resourcesManagement"`
}

func (s sidecar) check() []error {
	problems := checkRanges("sidecar.includeOutboundIPRanges", s.IncludeOutboundIPRanges)
	problems = append(problems, checkRanges("sidecar.excludeOutboundIPRanges", s.ExcludeOutboundIPRanges)...)
	problems = append(problems, checkPorts("sidecar.excludeInboundPorts", s.ExcludeInboundPorts)...)
	problems = append(problems, checkPorts("sidecar.excludeOutboundPorts", s.ExcludeOutboundPorts)...)
	return append(problems, s.ResourcesManagement.check("sidecar.resourcesManagement")...)
}

type controlPlane struct {
	scheduling
	ReplicasManagement struct {
		Mode string `json:"mode"`
		HPA  struct {
			MinReplicas int32 `json:"minReplicas"`
			MaxReplicas int32 `json:"maxReplicas"`
		} `json:"hpa"`
	} `json:"replicasManagement"`
	ResourcesManagement resources `json:"resourcesManagement"`
}

func (c controlPlane) check() []error {
	problems := append(c.scheduling.check("controlPlane."), c.ResourcesManagement.check("controlPlane.resourcesManagement")...)
	if hpa := c.ReplicasManagement.HPA; hpa.MaxReplicas != 0 && hpa.MinReplicas > hpa.MaxReplicas {
		problems = append(problems, fmt.Errorf("controlPlane.replicasManagement.hpa.minReplicas: %d is more than maxReplicas, which is %d",
			hpa.MinReplicas, hpa.MaxReplicas))
	}
	if c.ReplicasManagement.Mode == "HPA" && c.ResourcesManagement.Mode == "VPA" && c.ResourcesManagement.VPA.Mode == "Auto" {
		problems = append(problems, errors.New("controlPlane.resourcesManagement.vpa.mode: is Auto, but controlPlane.replicasManagement.mode is HPA: "+
			"both would follow the use of CPU; set the former to Initial"))
	}
	return problems
}

type dataPlane struct {
	ProxyConfig struct {
		IdleTimeout string `json:"idleTimeout"`
	} `json:"proxyConfig"`
}

func (d dataPlane) check() []error {
	if _, err := time.ParseDuration(d.ProxyConfig.IdleTimeout); err != nil {
		return []error{fmt.Errorf("dataPlane.proxyConfig.idleTimeout: %q is no duration: give numbers with a unit, ms, s, m or h, such as 30m", d.ProxyConfig.IdleTimeout)}
	}
	return nil
}

type auth struct {
	ExternalAuthentication struct {
		AuthURL       string `json:"authURL"`
		AuthSignInURL string `json:"authSignInURL"`
	} `json:"externalAuthentication"`
	WhitelistSourceRanges []string `json:"whitelistSourceRanges"`
}

func (a auth) check() []error {
	problems := checkURL("auth.externalAuthentication.authURL", a.ExternalAuthentication.AuthURL)
	problems = append(problems, checkURL("auth.externalAuthentication.authSignInURL", a.ExternalAuthentication.AuthSignInURL)...)
	return append(problems, checkRanges("auth.whitelistSourceRanges", a.WhitelistSourceRanges)...)
}
