{{- /* "true" where there is a mesh to look at; empty otherwise. */ -}}
{{- define "istio.kiali_enabled" -}}
  {{- include "istio.check_settings" . -}}
  {{- if .Values.istio.internal.versions -}}
    true
  {{- end -}}
{{- end -}}

{{- /*
  Who lets people in before Kiali asks for their token: "External" when the settings name somebody, "Dex" where Deckhouse's
  module user-authn does it; empty when nobody does. Then there is no Ingress, as there is none without an address or a safe way.
*/ -}}
{{- define "istio.kiali_gatekeeper" -}}
  {{- if and (include "istio.kiali_enabled" .) .Values.global.modules.publicDomainTemplate (include "istio.kiali_reached_safely" .) -}}
    {{- if (.Values.istio.auth.externalAuthentication | default dict).authURL -}}
      External
    {{- else if has "user-authn" .Values.global.enabledModules -}}
      Dex
    {{- end -}}
  {{- end -}}
{{- end -}}

{{- /* Where Deckhouse's proxy answers whether a person has signed in. */ -}}
{{- define "istio.kiali_dex_auth_url" -}}
  {{- printf "https://kiali-dex-authenticator.d8-istio.svc.%s/dex-authenticator/auth" .Values.global.discovery.clusterDomain -}}
{{- end -}}

{{- /* "true" unless tokens would travel in plain text, or under a certificate that nobody issues (an error to Deckhouse's library). */ -}}
{{- define "istio.kiali_reached_safely" -}}
  {{- $mode := (.Values.istio.https | default .Values.global.modules.https | default dict).mode | default "" -}}
  {{- if not (or (has $mode (list "" "Disabled")) (and (eq $mode "CertManager") (not (has "cert-manager" .Values.global.enabledModules)))) -}}
    true
  {{- end -}}
{{- end -}}

{{- /*
  Name of the Secret with the certificate of Kiali's host; empty when there is none. Peers fetch metadata at the same
  host: with them the Secret is metadata-exporter's, and without them Kiali's own.
*/ -}}
{{- define "istio.kiali_tls_secret" -}}
  {{- if include "istio.alliance_enabled" . -}}
    {{- include "istio.metadata_exporter_public_tls_secret" . -}}
  {{- else -}}
    {{- include "istio.kiali_own_tls_secret" . -}}
  {{- end -}}
{{- end -}}

{{- /* Name of the Secret that Kiali needs for itself; empty when it needs none, or when what it is made of is missing. */ -}}
{{- define "istio.kiali_own_tls_secret" -}}
  {{- if and (include "istio.kiali_gatekeeper" .) (not (include "istio.alliance_enabled" .)) -}}
    {{- $mode := include "helm_lib_module_https_mode" . -}}
    {{- $custom := .Values.istio.internal.customCertificateData | default dict -}}
    {{- $copied := and (eq $mode "CustomCertificate") (index $custom "tls.crt") (index $custom "tls.key") -}}
    {{- if or (eq $mode "CertManager") $copied -}}
      {{- include "helm_lib_module_https_secret_name" (list . "kiali-ingress-tls") -}}
    {{- end -}}
  {{- end -}}
{{- end -}}

{{- /* Kiali's configuration, as YAML: https://kiali.io/docs/configuration/kialis.kiali.io/ */ -}}
{{- define "istio.kiali_config" -}}
  {{- $external := dict
      "custom_dashboards" (dict "enabled" false)
      "grafana" (dict "enabled" false)
      "istio" (dict "root_namespace" "d8-istio" "istio_api_enabled" false)
      "prometheus" (include "istio.kiali_prometheus" . | fromJson)
      "tracing" (include "istio.kiali_tracing" . | fromJson)
  -}}
auth:
  strategy: token
clustering:
  autodetect_secrets:
    enabled: false
deployment:
  cluster_wide_access: true
  instance_name: kiali
  namespace: d8-istio
  view_only_mode: true
external_services:
  {{- $external | toYaml | nindent 2 }}
kubernetes_config:
  cluster_name: {{ include "istio.cluster_id" . }}
login_token:
  # Sessions outlive a restart and end when the CA changes.
  signing_key: {{ printf "kiali session\n%s" .Values.istio.internal.ca.key | sha256sum | trunc 32 | quote }}
server:
  port: 20001
  web_root: /
  observability:
    metrics:
      enabled: false
{{- end -}}

{{- /* Where Kiali finds metrics, as JSON: Deckhouse's Prometheus, which a proxy with a certificate of its own guards; {} elsewhere. */ -}}
{{- define "istio.kiali_prometheus" -}}
  {{- $prometheus := dict -}}
  {{- if has "prometheus" .Values.global.enabledModules -}}
    {{- $prometheus = dict
        "url" "https://prometheus.d8-monitoring:9090"
        "auth" (dict "type" "bearer" "use_kiali_token" true "insecure_skip_verify" true)
    -}}
  {{- end -}}
  {{- $prometheus | toJson -}}
{{- end -}}

{{- /* Where Kiali finds traces, as JSON. It cannot show links alone: it asks Jaeger, so it needs Jaeger's address. */ -}}
{{- define "istio.kiali_tracing" -}}
  {{- $settings := .Values.istio.tracing.kiali -}}
  {{- $tracing := dict "enabled" false -}}
  {{- if $settings.jaegerGRPCEndpoint -}}
    {{- $tracing = dict "enabled" true "provider" "jaeger" "use_grpc" true "internal_url" $settings.jaegerGRPCEndpoint -}}
    {{- with $settings.jaegerURLForUsers -}}
      {{- $_ := set $tracing "external_url" . -}}
    {{- end -}}
  {{- end -}}
  {{- $tracing | toJson -}}
{{- end -}}
