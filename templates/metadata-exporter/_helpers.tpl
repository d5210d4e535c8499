{{- /* Name of the Secret with the listener's certificate: the public one when there is one, else that of hook metadata_exporter_certificate. */ -}}
{{- define "istio.metadata_exporter_tls_secret" -}}
  {{- if include "helm_lib_module_https_ingress_tls_enabled" . -}}
    {{- include "helm_lib_module_https_secret_name" (list . "metadata-exporter-ingress-tls") -}}
  {{- else -}}
    metadata-exporter-tls
  {{- end -}}
{{- end -}}
