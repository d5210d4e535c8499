{{- /*
  Istio's MeshConfig of one version, as YAML. Its fields: https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/
  Arguments: context, version.
*/ -}}
{{- define "istio.mesh_config" -}}
  {{- $context := index . 0 -}}
  {{- $version := index . 1 -}}
  {{- $settings := $context.Values.istio -}}
  {{- $proxyMetadata := dict
      "ISTIO_META_DNS_CAPTURE" "true"
      "ISTIO_META_IDLE_TIMEOUT" $settings.dataPlane.proxyConfig.idleTimeout
      "PROXY_CONFIG_XDS_AGENT" "true"
  -}}
  {{- $proxyConfig := dict
      "discoveryAddress" (printf "istiod-%s.d8-istio.svc:15012" $version.revision)
      "holdApplicationUntilProxyStarts" $settings.dataPlane.proxyConfig.holdApplicationUntilProxyStarts
      "proxyMetadata" $proxyMetadata
  -}}
  {{- $providers := concat ($settings.extensionProviders | default list) ($settings.dataPlane.extensionProviders | default list) -}}
  {{- $defaultProviders := dict "metrics" (list "prometheus") -}}
  {{- if hasKey $settings.dataPlane "accessLog" -}}
    {{- $accessLog := include "istio.access_log" $settings.dataPlane.accessLog | fromJson -}}
    {{- $providers = append $providers $accessLog -}}
    {{- $_ := set $defaultProviders "accessLogging" (list $accessLog.name) -}}
  {{- end -}}
  {{- if $settings.tracing.enabled -}}
    {{- $collector := include "istio.tracing_collector" $context | fromJson -}}
    {{- $zipkin := dict "service" $collector.service "port" $collector.tracerPort -}}
    {{- $providers = append $providers (dict "name" (include "istio.tracing_provider" $context) "zipkin" $zipkin) -}}
  {{- end -}}
  {{- $mesh := dict
      "trustDomain" $context.Values.global.discovery.clusterDomain
      "rootNamespace" "d8-istio"
      "enablePrometheusMerge" true
      "outboundTrafficPolicy" (dict "mode" (get (dict "AllowAny" "ALLOW_ANY" "RegistryOnly" "REGISTRY_ONLY") $settings.outboundTrafficPolicyMode))
      "defaultProviders" $defaultProviders
      "defaultConfig" $proxyConfig
  -}}
  {{- if $providers -}}
    {{- $_ := set $mesh "extensionProviders" $providers -}}
  {{- end -}}
  {{- $anchors := concat (include "istio.federation_anchors" $context | fromJsonArray) (include "istio.multicluster_roots" $context | fromJsonArray) -}}
  {{- if $anchors -}}
    {{- $_ := set $mesh "caCertificates" $anchors -}}
  {{- end -}}
  {{- if and $settings.multicluster.enabled $settings.internal.clusterLocalHosts -}}
    {{- $_ := set $mesh "serviceSettings" (list (dict "settings" (dict "clusterLocal" true) "hosts" $settings.internal.clusterLocalHosts)) -}}
  {{- end -}}
  {{- $mesh | toYaml -}}
{{- end -}}

{{- /*
  What federation peers' certificates are verified with, as a JSON list of MeshConfig's caCertificates, one certificate an
  entry. The anchors bound a peer to its own trust domain themselves: Istio gives every proxy all of them, and reads
  trustDomains only as whose identities may come in at all. docs/TRUST_ANCHORS.md
*/ -}}
{{- define "istio.federation_anchors" -}}
  {{- $anchors := list -}}
  {{- if .Values.istio.federation.enabled -}}
    {{- range $federation := .Values.istio.internal.federations -}}
      {{- range $anchor := $federation.anchors -}}
        {{- $anchors = append $anchors (dict "pem" $anchor "trustDomains" (list $federation.trustDomain)) -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
  {{- $anchors | toJson -}}
{{- end -}}

{{- /*
  The provider of MeshConfig that writes the access log, as JSON. Without a format it is Istio's own: an empty object of labels
  means that, too. openapi/config-values.yaml rejects its name in extensionProviders. Argument: dataPlane.accessLog.
*/ -}}
{{- define "istio.access_log" -}}
  {{- $file := dict "path" "/dev/stdout" -}}
  {{- if eq .type "JSON" -}}
    {{- $_ := set $file "logFormat" (dict "labels" (.jsonLabels | default dict)) -}}
  {{- else if .textFormat -}}
    {{- $_ := set $file "logFormat" (dict "text" .textFormat) -}}
  {{- end -}}
  {{- dict "name" "main-access-log-format" "envoyFileAccessLog" $file | toJson -}}
{{- end -}}

{{- /* Name of the provider that stands for `tracing.collector`; openapi/config-values.yaml rejects it in extensionProviders. */ -}}
{{- define "istio.tracing_provider" -}}
d8-tracing
{{- end -}}

{{- /*
  Where traces go, as JSON: hostname and port of a Service that istiod knows; service, the same with its namespace, without which
  another namespace's ServiceEntry of that name would end tracing; tracerPort, which no Service has and tracers name, for the
  EnvoyFilter tracing-collector; and address, empty when the hostname is a Service of the cluster, else what a ServiceEntry must
  resolve it to.
*/ -}}
{{- define "istio.tracing_collector" -}}
  {{- $address := .Values.istio.tracing.collector.zipkin.address -}}
  {{- $port := regexFind "[0-9]+$" $address -}}
  {{- $host := $address | trimSuffix (printf ":%s" $port) | trimPrefix "[" | trimSuffix "]" -}}
  {{- $domain := .Values.global.discovery.clusterDomain -}}
  {{- $hostname := $host -}}
  {{- $namespace := "d8-istio" -}}
  {{- if or (hasSuffix ".svc" $host) (hasSuffix (printf ".svc.%s" $domain) $host) -}}
    {{- $service := $host | trimSuffix (printf ".%s" $domain) -}}
    {{- $hostname = printf "%s.%s" $service $domain -}}
    {{- $namespace = $service | trimSuffix ".svc" | splitList "." | last -}}
    {{- $host = "" -}}
  {{- else if regexMatch "^([0-9.]+|.*:.*)$" $host -}}
    {{- $hostname = "tracing-collector.d8-istio.internal" -}}
  {{- end -}}
  {{- dict "hostname" $hostname "service" (printf "%s/%s" $namespace $hostname) "port" (int $port) "tracerPort" 1 "address" $host | toJson -}}
{{- end -}}
