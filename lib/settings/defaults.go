package settings

// defaults are those of openapi/config-values.yaml that a check compares with
// the settings. A test keeps the two equal.
func defaults() checked {
	var d checked
	d.Sidecar.ResourcesManagement.Static.Requests = amounts{CPU: "100m", Memory: "128Mi"}
	d.Sidecar.ResourcesManagement.Static.Limits = limits{CPU: "2", Memory: "1Gi"}
	d.Sidecar.ResourcesManagement.VPA.CPU = bounds{Min: "50m", Max: "2"}
	d.Sidecar.ResourcesManagement.VPA.Memory = bounds{Min: "128Mi", Max: "1Gi"}
	d.ControlPlane.ResourcesManagement.Static.Requests = amounts{CPU: "500m", Memory: "2Gi"}
	d.ControlPlane.ResourcesManagement.VPA.CPU = bounds{Min: "50m", Max: "4"}
	d.ControlPlane.ResourcesManagement.VPA.Memory = bounds{Min: "256Mi", Max: "4Gi"}
	d.DataPlane.ProxyConfig.IdleTimeout = "1h"
	return d
}
