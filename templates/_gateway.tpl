{{- /*
  The Gateway that our ListenerSet attaches to, as JSON with its name and namespace; empty where there is none, or nothing to attach.
  It is the one of the settings, else Deckhouse's default. Where the person's own certificate could not be read yet, no listener
  could show one: unlike an Ingress controller, a Gateway has none of its own. Ask only where peers or Kiali need it.
*/ -}}
{{- define "istio.gateway" -}}
  {{- $gateway := dict -}}
  {{- $_ := include "helm_lib_module_gateway" (list . $gateway) -}}
  {{- $apis := .Capabilities.APIVersions -}}
  {{- $served := and ($apis.Has "gateway.networking.k8s.io/v1/HTTPRoute") ($apis.Has "gateway.networking.k8s.io/v1/ListenerSet") -}}
  {{- if and $served $gateway.name .Values.global.modules.publicDomainTemplate -}}
    {{- if or (not (include "helm_lib_module_https_route_tls_enabled" .)) (include "istio.public_tls_secret" (list . "ingress-tls")) -}}
      {{- $gateway | toJson -}}
    {{- end -}}
  {{- end -}}
{{- end -}}

{{- /*
  "true" where Kiali is published at a Gateway, too; empty otherwise. Its authenticating proxy stands in the annotations of the
  route, which only Deckhouse's own Gateway obeys; any other would let everybody through.
*/ -}}
{{- define "istio.kiali_at_gateway" -}}
  {{- if include "istio.kiali_gatekeeper" . -}}
    {{- $gateway := include "istio.gateway" . | default "{}" | fromJson -}}
    {{- $own := .Values.global.discovery.gatewayAPIDefaultGateway | default dict -}}
    {{- if and $gateway.name (eq $gateway.name ($own.name | default "")) (eq $gateway.namespace ($own.namespace | default "")) -}}
      true
    {{- end -}}
  {{- end -}}
{{- end -}}

{{- /* A listener of our ListenerSet. Arguments: context, first label of its host, which is its name, too, and the Secret of its certificate. */ -}}
{{- define "istio.gateway_listener" -}}
{{- $context := index . 0 -}}
- name: {{ index . 1 }}
  hostname: {{ include "helm_lib_module_public_domain" (list $context (index . 1)) }}
  {{- if include "helm_lib_module_https_route_tls_enabled" $context }}
  port: 443
  protocol: HTTPS
  tls:
    mode: Terminate
    certificateRefs:
      - group: ""
        kind: Secret
        name: {{ index . 2 }}
  {{- else }}
  {{- /* TLS ends before the Gateway. */}}
  port: 80
  protocol: HTTP
  {{- end }}
  allowedRoutes:
    namespaces:
      from: Same
{{- end -}}

{{- /*
  An HTTPRoute from hosts of our ListenerSet to a component's port. Arguments: context, the component, path, port, time that a
  request may take (0s: any), annotations, and the first labels of the hosts.
*/ -}}
{{- define "istio.gateway_route" -}}
{{- $context := index . 0 -}}
{{- $name := index . 1 -}}
{{- $hosts := slice . 6 -}}
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: {{ $name }}
  namespace: d8-istio
  {{- include "helm_lib_module_labels" (list $context (dict "app" $name)) | nindent 2 }}
  {{- with index . 5 }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  parentRefs:
    {{- range $hosts }}
    - group: gateway.networking.k8s.io
      kind: ListenerSet
      name: istio
      sectionName: {{ . }}
    {{- end }}
  hostnames:
    {{- range $hosts }}
    - {{ include "helm_lib_module_public_domain" (list $context .) }}
    {{- end }}
  rules:
    - matches:
        - path:
            type: PathPrefix
            value: {{ index . 2 }}
      backendRefs:
        - group: ""
          kind: Service
          name: {{ $name }}
          port: {{ index . 3 }}
      timeouts:
        request: {{ index . 4 }}
{{- end -}}

{{- /* Annotations by which Deckhouse's Gateway speaks TLS to a component. Others learn it from the BackendTLSPolicy, and verify the certificate. */ -}}
{{- define "istio.gateway_tls_annotations" -}}
alb.network.deckhouse.io/backend-tls-settings: '{"mode": "SIMPLE", "insecureSkipVerify": true}'
{{- end -}}

{{- /*
  How a Gateway verifies the certificate of a component's listener: the public one by its own authority, where the person gave it, else
  by the system's roots; the one that a hook issued by the authority of that. Arguments: context, the component, the first label
  of its host, the public certificate's Secret (empty: none), and the certificate that the hook issued.
*/ -}}
{{- define "istio.gateway_backend_tls" -}}
{{- $context := index . 0 -}}
{{- $name := index . 1 -}}
{{- $public := index . 3 -}}
{{- $authority := (index . 4).ca -}}
{{- if $public -}}
  {{- $authority = "" -}}
  {{- if eq (include "helm_lib_module_https_mode" $context) "CustomCertificate" -}}
    {{- $authority = index ($context.Values.istio.internal.customCertificateData | default dict) "ca.crt" -}}
  {{- end -}}
{{- end -}}
{{- if $context.Capabilities.APIVersions.Has "gateway.networking.k8s.io/v1/BackendTLSPolicy" -}}
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata:
  name: {{ $name }}
  namespace: d8-istio
  {{- include "helm_lib_module_labels" (list $context (dict "app" $name)) | nindent 2 }}
spec:
  targetRefs:
    - group: ""
      kind: Service
      name: {{ $name }}
  validation:
    hostname: {{ if $public }}{{ include "helm_lib_module_public_domain" (list $context (index . 2)) }}{{ else }}{{ $name }}.d8-istio.svc{{ end }}
    {{- if $authority }}
    caCertificateRefs:
      - group: ""
        kind: ConfigMap
        name: {{ $name }}-ca
    {{- else }}
    wellKnownCACertificates: System
    {{- end }}
{{- if $authority }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ $name }}-ca
  namespace: d8-istio
  {{- include "helm_lib_module_labels" (list $context (dict "app" $name)) | nindent 2 }}
data:
  ca.crt: {{ $authority | quote }}
{{- end }}
{{- end -}}
{{- end -}}
