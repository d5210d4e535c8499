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
  Keeps a webhook out of the namespaces in which istiod injects nothing anyhow (IgnoredNamespaces in Istio's
  pkg/kube/inject): one that cannot be reached would stop Pods there, too, and with them the cluster.
*/ -}}
{{- define "istio.not_in_system_namespaces" -}}
{key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system, kube-public, kube-node-lease, local-path-storage]}
{{- end -}}

{{- /*
  One webhook that injects sidecars, to which selectors are added. The API server rejects two of the same name, therefore
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
      - {{ include "istio.not_in_system_namespaces" . }}
  objectSelector:
    matchExpressions:
      - {key: sidecar.istio.io/inject, operator: NotIn, values: ["false"]}
- {{- include "istio.injection_webhook" (list (index . 0) (index . 1) "rev.object") | nindent 2 }}
  namespaceSelector:
    matchExpressions:
      - {key: istio.io/rev, operator: DoesNotExist}
      - {key: istio-injection, operator: DoesNotExist}
      - {{ include "istio.not_in_system_namespaces" . }}
  objectSelector:
    matchExpressions:
      - {key: sidecar.istio.io/inject, operator: NotIn, values: ["false"]}
      - {key: istio.io/rev, operator: In, values: [{{ index . 2 }}]}
{{- end -}}

{{- /*
  The webhook that checks Istio's resources, to which a selector is added. The module's own are left out: an istiod that
  does not answer must not stop the module's upgrade, which may be what repairs it. Its label alone would not do, since
  anybody may write it; only in the module's namespace nobody else writes. Arguments: context, revision, name.
*/ -}}
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
matchConditions:
  - name: not-the-modules-own
    expression: >-
      request.namespace != "d8-istio" || object.metadata.?labels["module"].orValue("") != {{ (index . 0).Chart.Name | quote }}
failurePolicy: Fail
sideEffects: None
admissionReviewVersions: [v1]
{{- end -}}
