{{- /* Labels that find the gateway's Pods, and no others. */ -}}
{{- define "istio.ingressgateway_selector" -}}
app: ingressgateway
module: {{ .Chart.Name }}
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
