{{- /*
  The values that Istio's injection templates of one version read, as JSON: the defaults of Istio's own chart with ours
  over them, so that each value a template reads exists. Arguments: context, version.
*/ -}}
{{- define "istio.injector_values" -}}
  {{- $context := index . 0 -}}
  {{- $version := index . 1 -}}
  {{- $settings := $context.Values.istio -}}
  {{- $image := include "helm_lib_module_image" (list $context (printf "proxyv2%s" $version.imageSuffix)) -}}
  {{- $file := printf "files/istio/%s/values.yaml" $version.revision -}}
  {{- $defaults := index ($context.Files.Get $file | fromYaml) "_internal_defaults_do_not_set" -}}
  {{- if not $defaults -}}
    {{- fail (printf "istio: %s is missing in the chart, so there are no values for the injection templates of Istio %s: run `make generate`" $file $version.fullVersion) -}}
  {{- end -}}

  {{- $proxy := $defaults.global.proxy -}}
  {{- $_ := set $proxy "image" $image -}}
  {{- $_ := set $proxy "clusterDomain" $context.Values.global.discovery.clusterDomain -}}
  {{- $_ := set $proxy "includeIPRanges" (join "," $settings.sidecar.includeOutboundIPRanges) -}}
  {{- $_ := set $proxy "excludeIPRanges" (join "," $settings.sidecar.excludeOutboundIPRanges) -}}
  {{- $_ := set $proxy "excludeInboundPorts" (join "," $settings.sidecar.excludeInboundPorts) -}}
  {{- $_ := set $proxy "excludeOutboundPorts" (join "," $settings.sidecar.excludeOutboundPorts) -}}
  {{- $_ := set $proxy "holdApplicationUntilProxyStarts" $settings.dataPlane.proxyConfig.holdApplicationUntilProxyStarts -}}
  {{- $_ := set $proxy "resources" (include "istio.sidecar_resources" $context | fromJson) -}}

  {{- $global := $defaults.global -}}
  {{- /* Images come by digest, so neither is needed; istiod reads them all the same. */ -}}
  {{- $_ := set $global "hub" "" -}}
  {{- $_ := set $global "tag" "" -}}
  {{- $_ := set $global "istioNamespace" "d8-istio" -}}
  {{- $_ := set $global.proxy_init "image" $image -}}
  {{- $_ := set $global.multiCluster "clusterName" (include "istio.cluster_id" $context) -}}
  {{- $_ := set $global "network" (include "istio.network_name" $context) -}}
  {{- if include "istio.registry_credentials" $context -}}
    {{- $_ := set $global "imagePullSecrets" (list "d8-istio-sidecar-registry") -}}
  {{- end -}}

  {{- dict
      "global" $global
      "sidecarInjectorWebhook" $defaults.sidecarInjectorWebhook
      "revision" $version.revision
      "pilot" (pick $defaults "cni" "env")
      "gateways" (pick $defaults.gateways "securityContext" "seccompProfile")
    | toPrettyJson -}}
{{- end -}}

{{- /* Requests and limits of a sidecar, as JSON. */ -}}
{{- define "istio.sidecar_resources" -}}
  {{- $management := include "istio.resources_management" .Values.istio.sidecar.resourcesManagement | fromJson -}}
  {{- $resources := include "istio.pod_resources" $management | fromJson -}}
  {{- if eq $management.mode "VPA" -}}
    {{- $limits := dict "cpu" $management.vpa.cpu.max "memory" $management.vpa.memory.max -}}
    {{- $_ := set $resources "limits" (merge $management.vpa.limits $limits) -}}
  {{- end -}}
  {{- $resources | toJson -}}
{{- end -}}

{{- /*
  How one version injects, as YAML: Istio's own templates of that version. Those for gateways that istiod deploys by
  itself are left out: it does not. Arguments: context, version.
*/ -}}
{{- define "istio.injector_config" -}}
  {{- $context := index . 0 -}}
  {{- $version := index . 1 -}}
  {{- $templates := dict -}}
  {{- range $name, $file := dict
      "sidecar" "injection-template"
      "gateway" "gateway-injection-template"
      "grpc-simple" "grpc-simple"
      "grpc-agent" "grpc-agent"
  -}}
    {{- $path := printf "files/istio/%s/templates/%s.yaml" $version.revision $file -}}
    {{- $template := $context.Files.Get $path -}}
    {{- if not $template -}}
      {{- fail (printf "istio: %s is missing in the chart, so Istio %s could inject no sidecars: run `make generate`" $path $version.fullVersion) -}}
    {{- end -}}
    {{- $_ := set $templates $name $template -}}
  {{- end -}}
  {{- dict
      "policy" "enabled"
      "defaultTemplates" (list "sidecar")
      "alwaysInjectSelector" list
      "neverInjectSelector" list
      "injectedAnnotations" (dict "istio.deckhouse.io/full-version" $version.fullVersion)
      "template" "{{ Template_Version_And_Istio_Version_Mismatched_Check_Installation }}"
      "templates" $templates
    | toYaml -}}
{{- end -}}
