{{- /* Objects that several components have alike. The first arguments are the context and the component's name. */ -}}

{{- /* A Service for the component's https port. */ -}}
{{- define "istio.component_service" -}}
{{- $context := index . 0 -}}
{{- $name := index . 1 -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}
  namespace: d8-istio
  {{- include "helm_lib_module_labels" (list $context (dict "app" $name)) | nindent 2 }}
spec:
  type: ClusterIP
  selector:
    app: {{ $name }}
  ports:
    - name: https
      port: 443
      targetPort: https
      protocol: TCP
{{- end -}}

{{- /* A PodDisruptionBudget that takes one Pod at a time. */ -}}
{{- define "istio.component_pdb" -}}
{{- $context := index . 0 -}}
{{- $name := index . 1 -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $name }}
  namespace: d8-istio
  {{- include "helm_lib_module_labels" (list $context (dict "app" $name)) | nindent 2 }}
spec:
  maxUnavailable: 1
  # A Pod that is not ready must not keep its node from being drained.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      app: {{ $name }}
{{- end -}}

{{- /* A PodMonitor for the component's metrics; nothing in a cluster without PodMonitors. */ -}}
{{- define "istio.component_podmonitor" -}}
{{- $context := index . 0 -}}
{{- $name := index . 1 -}}
{{- if $context.Capabilities.APIVersions.Has "monitoring.coreos.com/v1/PodMonitor" -}}
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata:
  name: {{ $name }}
  namespace: d8-istio
  {{- include "helm_lib_module_labels" (list $context (dict "app" $name "prometheus" "main")) | nindent 2 }}
spec:
  jobLabel: app
  selector:
    matchLabels:
      app: {{ $name }}
  namespaceSelector:
    matchNames:
      - d8-istio
  podMetricsEndpoints:
    - port: telemetry
      path: /metrics
{{- end -}}
{{- end -}}

{{- /* A VerticalPodAutoscaler for a Deployment; nothing in a cluster without one. Further arguments: least and most cpu and memory. */ -}}
{{- define "istio.component_vpa" -}}
{{- $context := index . 0 -}}
{{- $name := index . 1 -}}
{{- if include "istio.vpa_enabled" $context -}}
apiVersion: autoscaling.k8s.io/v1
kind: VerticalPodAutoscaler
metadata:
  name: {{ $name }}
  namespace: d8-istio
  {{- include "helm_lib_module_labels" (list $context (dict "app" $name)) | nindent 2 }}
spec:
  {{- include "istio.vpa_spec" (list "Deployment" $name $name (index . 2) (index . 3) (index . 4) (index . 5)) | nindent 2 }}
{{- end -}}
{{- end -}}

{{- /* A Certificate of cert-manager; nothing in other https modes. Further arguments: its Secret and the first labels of its host names. */ -}}
{{- define "istio.component_certificate" -}}
{{- $context := index . 0 -}}
{{- $name := index . 1 -}}
{{- $hosts := slice . 3 -}}
{{- if eq (include "helm_lib_module_https_mode" $context) "CertManager" -}}
apiVersion: cert-manager.io/v1
kind: Certificate
metadata:
  name: {{ $name }}
  namespace: d8-istio
  {{- include "helm_lib_module_labels" (list $context (dict "app" $name)) | nindent 2 }}
spec:
  secretName: {{ index . 2 }}
  {{- with include "helm_lib_module_generate_common_name" (list $context (first $hosts)) | trim }}
  {{ . }}
  {{- end }}
  dnsNames:
    {{- range $hosts }}
    - {{ include "helm_lib_module_public_domain" (list $context .) }}
    {{- end }}
  issuerRef:
    name: {{ include "helm_lib_module_https_cert_manager_cluster_issuer_name" $context }}
    kind: ClusterIssuer
{{- end -}}
{{- end -}}

{{- /*
  The Secret with the certificate that a hook made for the component's listener. It is there in every https mode, for the
  hook looks in it for the former certificate. Further arguments: the certificate, and the Secret that the listener uses.
*/ -}}
{{- define "istio.component_tls_secret" -}}
{{- $context := index . 0 -}}
{{- $name := index . 1 -}}
{{- $certificate := index . 2 -}}
{{- if and $certificate.crt $certificate.key -}}
apiVersion: v1
kind: Secret
metadata:
  name: {{ $name }}-tls
  namespace: d8-istio
  {{- include "helm_lib_module_labels" (list $context (dict "app" $name)) | nindent 2 }}
type: kubernetes.io/tls
data:
  ca.crt: {{ $certificate.ca | default "" | b64enc | quote }}
  tls.crt: {{ $certificate.crt | b64enc }}
  tls.key: {{ $certificate.key | b64enc }}
{{- else if eq (index . 3) (printf "%s-tls" $name) -}}
  {{- fail (printf "istio: there is no certificate for %s's listener yet: hook %s_certificate has not stored one" $name ($name | replace "-" "_")) -}}
{{- end -}}
{{- end -}}
