package settings

import (
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
	return append(problems, s.ResourcesManagement.check("sidecar.resourcesManagement", true)...)
}

type controlPlane struct {
	scheduling
	ResourcesManagement resources `json:"resourcesManagement"`
}

func (c controlPlane) check() []error {
	return append(c.scheduling.check("controlPlane."), c.ResourcesManagement.check("controlPlane.resourcesManagement", false)...)
}

type dataPlane struct {
	ExtensionProviders []provider `json:"extensionProviders"`
	ProxyConfig        struct {
		IdleTimeout string `json:"idleTimeout"`
	} `json:"proxyConfig"`
}

func (d dataPlane) check() []error {
	problems := checkProviders("dataPlane.extensionProviders", d.ExtensionProviders)
	if _, err := time.ParseDuration(d.ProxyConfig.IdleTimeout); err != nil {
		problems = append(problems, fmt.Errorf("dataPlane.proxyConfig.idleTimeout: %q is not a duration: use numbers with a unit, ms, s, m or h, as in 30m", d.ProxyConfig.IdleTimeout))
	}
	return problems
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
