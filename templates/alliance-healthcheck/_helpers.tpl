{{- /*
  "true" when the way to peers is checked by requests; empty otherwise. A Service is named after the cluster's UUID, so
  without one that can be a part of a name there is nothing to call.
*/ -}}
{{- define "istio.alliance_healthcheck_enabled" -}}
  {{- $named := regexMatch "^[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?$" .Values.global.discovery.clusterUUID -}}
  {{- if and (include "istio.alliance_enabled" .) .Values.istio.alliance.healthcheck.enabled $named (include "istio.proxy_version" . | fromJson) -}}
    true
  {{- end -}}
{{- end -}}

{{- /* The host of a cluster's Service, as lib/healthcheck.Hostname. Arguments: UUID and domain of the cluster. */ -}}
{{- define "istio.alliance_healthcheck_host" -}}
  {{- printf "alliance-healthcheck-%s.d8-istio.svc.%s" (index . 0) (index . 1) -}}
{{- end -}}

{{- /* What to call, as a JSON list of lib/healthcheck.Target, in the order of UUIDs. */ -}}
{{- define "istio.alliance_healthcheck_targets" -}}
  {{- $targets := list -}}
  {{- range $uuid, $peer := .Values.istio.internal.remotePublicMetadata -}}
    {{- $domain := $peer.trustDomain | default $.Values.global.discovery.clusterDomain -}}
    {{- if regexMatch "^[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?$" $uuid -}}
      {{- $host := include "istio.alliance_healthcheck_host" (list $uuid $domain) -}}
      {{- $targets = append $targets (dict "kind" $peer.kind "name" $peer.name "clusterUUID" $uuid "host" $host) -}}
    {{- end -}}
  {{- end -}}
  {{- $targets | toJson -}}
{{- end -}}
