{{- /* Name of the Secret with the certificate that the world sees; empty when there is none. */ -}}
{{- define "istio.metadata_exporter_public_tls_secret" -}}
  {{- include "istio.public_tls_secret" (list . "metadata-exporter-ingress-tls") -}}
{{- end -}}

{{- /* Name of the Secret with the listener's certificate: the public one when there is one, else that of hook metadata_exporter_certificate. */ -}}
{{- define "istio.metadata_exporter_tls_secret" -}}
  {{- include "istio.metadata_exporter_public_tls_secret" . | default "metadata-exporter-tls" -}}
{{- end -}}

{{- /*
  How peers' client certificates get past the ingress controller: None, Header or Passthrough. In mode Header the
  controller needs a certificate of its own to authenticate with; as long as there is none, it forwards none.
*/ -}}
{{- define "istio.peer_certificates" -}}
  {{- $way := .Values.istio.alliance.metadataEndpoint.clientCertificates -}}
  {{- $ingress := .Values.istio.internal.ingressClientCertificate | default dict -}}
  {{- if and (eq $way "Header") (not (and $ingress.ca $ingress.crt $ingress.key)) -}}
    None
  {{- else -}}
    {{- $way -}}
  {{- end -}}
{{- end -}}
