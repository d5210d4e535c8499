{{- /* Name of the Secret with the certificate that the world sees; empty when there is none. */ -}}
{{- define "istio.metadata_exporter_public_tls_secret" -}}
  {{- include "istio.public_tls_secret" (list . "metadata-exporter-ingress-tls") -}}
{{- end -}}

{{- /* Name of the Secret with the listener's certificate: the public one when there is one, else that of hook metadata_exporter_certificate. */ -}}
{{- define "istio.metadata_exporter_tls_secret" -}}
  {{- include "istio.metadata_exporter_public_tls_secret" . | default "metadata-exporter-tls" -}}
{{- end -}}

{{- /*
  "true" when the exporter watches the peers of IstioFederations and IstioMulticlusters and pokes the resource; empty otherwise. It needs the
  right to patch them, which RBAC cannot narrow to one annotation. Where no ValidatingAdmissionPolicy can either, it does
  without: then the discovery hook's schedule finds what changed within a minute.
*/ -}}
{{- define "istio.metadata_exporter_watches_peers" -}}
  {{- if and (include "istio.alliance_enabled" .) (.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy") -}}
    true
  {{- end -}}
{{- end -}}

{{- /*
  How neighbours' client certificates get past the ingress controller: None, Header or Passthrough. In mode Header the
  controller needs a certificate to prove itself with; as long as there is none, it passes nothing on.
*/ -}}
{{- define "istio.neighbours_certificates" -}}
  {{- $way := .Values.istio.alliance.metadataEndpoint.clientCertificates -}}
  {{- $ingress := .Values.istio.internal.ingressClientCertificate | default dict -}}
  {{- if and (eq $way "Header") (not (and $ingress.ca $ingress.crt $ingress.key)) -}}
    None
  {{- else -}}
    {{- $way -}}
  {{- end -}}
{{- end -}}
