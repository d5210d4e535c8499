{{- /* "true" when a revision is installed and its istiod has been ready, so that webhooks may point to it. Arguments: context, revision. */ -}}
{{- define "istio.webhooks_may_point_to" -}}
  {{- $revision := index . 1 -}}
  {{- $internal := (index . 0).Values.istio.internal -}}
  {{- if has $revision $internal.webhookRevisions -}}
    {{- range $internal.versions -}}
      {{- if eq .revision $revision -}}
        true
      {{- end -}}
    {{- end -}}
  {{- end -}}
{{- end -}}

{{- /*
  One webhook that injects sidecars, to which selectors are added. The API server refuses two of the same name, therefore
  the prefix. Arguments: context, revision, prefix.
*/ -}}
{{- define "istio.injection_webhook" -}}
name: {{ index . 2 }}.sidecar-injector.istio.io
clientConfig:
  service:
    name: istiod-{{ index . 1 }}
    namespace: d8-istio
    path: /inject
    port: 443
  caBundle: {{ include "istio.webhook_ca_bundle" (index . 0) }}
sideEffects: None
rules:
  - operations: [CREATE]
    apiGroups: [""]
    apiVersions: [v1]
    resources: [pods]
failurePolicy: Fail
reinvocationPolicy: Never
admissionReviewVersions: [v1]
{{- end -}}

{{- /* The two webhooks for those who name a revision, or a tag, by label: whole namespaces, and Pods. Arguments: context, revision, value of the label. */ -}}
{{- define "istio.injection_webhooks_by_label" -}}
- {{- include "istio.injection_webhook" (list (index . 0) (index . 1) "rev.namespace") | nindent 2 }}
  namespaceSelector:
    matchExpressions:
      - {key: istio.io/rev, operator: In, values: [{{ index . 2 }}]}
      - {key: istio-injection, operator: DoesNotExist}
  objectSelector:
    matchExpressions:
      - {key: sidecar.istio.io/inject, operator: NotIn, values: ["false"]}
- {{- include "istio.injection_webhook" (list (index . 0) (index . 1) "rev.object") | nindent 2 }}
  namespaceSelector:
    matchExpressions:
      - {key: istio.io/rev, operator: DoesNotExist}
      - {key: istio-injection, operator: DoesNotExist}
  objectSelector:
    matchExpressions:
      - {key: sidecar.istio.io/inject, operator: NotIn, values: ["false"]}
      - {key: istio.io/rev, operator: In, values: [{{ index . 2 }}]}
{{- end -}}

{{- /* The webhook that checks Istio's resources, to which a selector is added. Arguments: context, revision, name. */ -}}
{{- define "istio.validation_webhook" -}}
name: {{ index . 2 }}
clientConfig:
  service:
    name: istiod-{{ index . 1 }}
    namespace: d8-istio
    path: /validate
    port: 443
  caBundle: {{ include "istio.webhook_ca_bundle" (index . 0) }}
rules:
  - operations: [CREATE, UPDATE]
    apiGroups: [security.istio.io, networking.istio.io, telemetry.istio.io, extensions.istio.io]
    apiVersions: ["*"]
    resources: ["*"]
failurePolicy: Fail
sideEffects: None
admissionReviewVersions: [v1]
{{- end -}}
