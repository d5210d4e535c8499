{{- /* Labels of what belongs to one version's istiod. Arguments: context, version. */ -}}
{{- define "istio.istiod_labels" -}}
  {{- include "helm_lib_module_labels" (list (index . 0) (dict "app" "istiod" "istio.io/rev" (index . 1).revision)) -}}
{{- end -}}

{{- /* Labels that find the Pods of one version's istiod, and no others. Argument: version. */ -}}
{{- define "istio.istiod_selector" -}}
app: istiod
istio.io/rev: {{ .revision }}
{{- end -}}

{{- /* Fails while hook istio_versions holds everything back: Helm would remove an istiod that is in the cluster and put nothing in its place. */ -}}
{{- define "istio.hold_back" -}}
  {{- with .Values.istio.internal.heldBack -}}
    {{- fail (printf "istio: %s" .) -}}
  {{- end -}}
{{- end -}}

{{- /* Fails unless there is the CA that istiod signs with: it must never make one of its own. */ -}}
{{- define "istio.require_ca" -}}
  {{- $ca := .Values.istio.internal.ca -}}
  {{- if not (and $ca.cert $ca.key $ca.chain $ca.root) -}}
    {{- fail "istio: there is no certificate authority for istiod yet; if the settings `ca.*` hold one, the status of ModuleConfig istio says why it was rejected" -}}
  {{- end -}}
{{- end -}}

{{- /* What the API server checks istiod's certificate with, base64. */ -}}
{{- define "istio.webhook_ca_bundle" -}}
  {{- include "istio.require_ca" . -}}
  {{- .Values.istio.internal.ca.root | b64enc -}}
{{- end -}}

{{- /* How many Pods, and how they are replaced; without a number where an autoscaler decides. */ -}}
{{- define "istio.istiod_replicas" -}}
  {{- $management := .Values.istio.controlPlane.replicasManagement -}}
  {{- if eq $management.mode "Standard" -}}
    {{- include "helm_lib_deployment_strategy_and_replicas_for_ha" . -}}
  {{- else -}}
    {{- if eq $management.mode "Static" -}}
replicas: {{ $management.static.replicas }}
    {{- end }}
strategy:
  type: RollingUpdate
  rollingUpdate:
    maxSurge: 1
    maxUnavailable: 25%
  {{- end -}}
{{- end -}}

{{- /*
  Pods of one version keep to different nodes. In the mode Standard there are never more than two of them; more could
  outnumber the nodes, so then it is only a wish. Arguments: context, version.
*/ -}}
{{- define "istio.istiod_affinity" -}}
  {{- $context := index . 0 -}}
  {{- $labels := dict "app" "istiod" "istio.io/rev" (index . 1).revision -}}
  {{- if eq $context.Values.istio.controlPlane.replicasManagement.mode "Standard" -}}
    {{- include "helm_lib_pod_anti_affinity_for_ha" (list $context $labels) -}}
  {{- else }}
affinity:
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- $labels | toYaml | nindent 14 }}
  {{- end -}}
{{- end -}}

{{- /* Where istiod runs: its own settings, else those of the module, else the nodes for system components. */ -}}
{{- define "istio.istiod_placement" -}}
  {{- $own := .Values.istio.controlPlane -}}
  {{- include "helm_lib_node_selector" (tuple . "system" (dict "nodeSelector" ($own.nodeSelector | default .Values.istio.nodeSelector))) -}}
  {{- if $own.tolerations }}
tolerations:
    {{- $own.tolerations | toYaml | nindent 2 }}
  {{- else }}
    {{- include "helm_lib_tolerations" (tuple . "system") }}
  {{- end }}
{{- end -}}

{{- /* Requests and limits of istiod, as JSON; without limits when there are none. */ -}}
{{- define "istio.istiod_resources" -}}
  {{- $management := include "istio.resources_management" .Values.istio.controlPlane.resourcesManagement | fromJson -}}
  {{- $resources := include "istio.pod_resources" $management | fromJson -}}
  {{- $_ := set $resources.requests "ephemeral-storage" "50Mi" -}}
  {{- $resources | toJson -}}
{{- end -}}
