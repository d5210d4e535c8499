{{- /* "true" when peers' istiods read this cluster's API; empty otherwise. */ -}}
{{- define "istio.api_proxy_enabled" -}}
  {{- include "istio.check_settings" . -}}
  {{- if .Values.istio.multicluster.enabled -}}
    true
  {{- end -}}
{{- end -}}

{{- /* Name of the Secret with the certificate that the world sees; empty when there is none. */ -}}
{{- define "istio.api_proxy_public_tls_secret" -}}
  {{- include "istio.public_tls_secret" (list . "api-proxy-ingress-tls") -}}
{{- end -}}

{{- /* Name of the Secret with the listener's certificate: the public one when there is one, else that of hook api_proxy_certificate. */ -}}
{{- define "istio.api_proxy_tls_secret" -}}
  {{- include "istio.api_proxy_public_tls_secret" . | default "api-proxy-tls" -}}
{{- end -}}
