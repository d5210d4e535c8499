{{- /* The rights, the admission policy and the mesh's identities name this namespace. */}}
{{- define "istio-operator.check" }}
  {{- if ne .Release.Namespace "d8-system" }}
    {{- fail (printf "the chart is for the namespace d8-system, not %s: add --namespace d8-system" .Release.Namespace) }}
  {{- end }}
{{- end }}

{{- define "istio-operator.image" }}
  {{- with .Values.image }}
    {{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
  {{- end }}
{{- end }}
