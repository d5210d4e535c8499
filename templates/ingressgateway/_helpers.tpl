{{- /* Labels that find the gateway's Pods, and no others. */ -}}
{{- define "istio.ingressgateway_selector" -}}
app: ingressgateway
module: istio
{{- end -}}

{{- /* Where the gateway runs: its own setting, else the nodes for frontends. */ -}}
{{- define "istio.ingressgateway_placement" -}}
  {{- $gateway := .Values.istio.alliance.ingressGateway -}}
  {{- include "helm_lib_node_selector" (tuple . "frontend" (dict "nodeSelector" $gateway.nodeSelector)) -}}
  {{- if $gateway.tolerations }}
tolerations:
    {{- $gateway.tolerations | toYaml | nindent 2 }}
  {{- else }}
    {{- include "helm_lib_tolerations" (tuple . "frontend") }}
  {{- end }}
{{- end -}}

{{- /*
  The version of Istio that the gateway is of, as JSON: the one whose istiod serves whatever names none itself, and before
  any was ready the one that is to. {} when none is installed: then there is nothing that a gateway could be of.
*/ -}}
{{- define "istio.ingressgateway_version" -}}
  {{- $internal := .Values.istio.internal -}}
  {{- $found := dict -}}
  {{- range $internal.versions -}}
    {{- if eq .revision ($internal.defaultRevision | default $internal.globalRevision) -}}
      {{- $found = . -}}
    {{- end -}}
  {{- end -}}
  {{- $found | toJson -}}
{{- end -}}
