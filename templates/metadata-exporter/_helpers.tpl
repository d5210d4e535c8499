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

{{- /* The Ingress of one of the two hosts of the metadata. Arguments: context, the Ingress' name, the host's first label, how client certificates get past the controller. */ -}}
{{- define "istio.metadata_ingress" -}}
{{- $context := index . 0 -}}
{{- $host := include "helm_lib_module_public_domain" (list $context (index . 2)) -}}
{{- $certificates := index . 3 -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ index . 1 }}
  namespace: d8-istio
  {{- include "helm_lib_module_labels" (list $context (dict "app" "metadata-exporter")) | nindent 2 }}
  annotations:
    {{- include "istio.peer_ingress_annotations" $certificates | nindent 4 }}
    # A long poll is held for up to 55 seconds.
    nginx.ingress.kubernetes.io/proxy-read-timeout: "75"
spec:
  {{- with include "helm_lib_module_ingress_class" $context }}
  ingressClassName: {{ . }}
  {{- end }}
  {{- if include "helm_lib_module_https_ingress_tls_enabled" $context }}
  tls:
    - hosts:
        - {{ $host }}
      {{- /* Without a certificate to name the controller shows its default one. */}}
      {{- with include "istio.metadata_exporter_public_tls_secret" $context }}
      secretName: {{ . }}
      {{- end }}
  {{- end }}
  rules:
    - host: {{ $host }}
      http:
        paths:
          {{- /* Both controllers pass a connection on to the backend of / and to no other: nothing but the host is known of it. */}}
          - path: {{ ternary "/" "/metadata" (eq $certificates "Passthrough") }}
            pathType: Prefix
            backend:
              service:
                name: metadata-exporter
                port:
                  name: https
{{- end -}}
