{{- /*
  Istio's proxy in the Pods of the module's own. They are not injected: neither do they start only while a webhook
  answers, nor does their namespace, which allows no privileged containers, allow the one that redirects traffic.
*/ -}}

{{- /*
  The version of Istio that the module's own proxies are of, as JSON: the one whose istiod serves whatever names none itself, and before
  any was ready the one that is to. {} when none is installed: then there is nothing that a proxy could be of.
*/ -}}
{{- define "istio.proxy_version" -}}
  {{- $internal := .Values.istio.internal -}}
  {{- $found := dict -}}
  {{- range $internal.versions -}}
    {{- if eq .revision ($internal.defaultRevision | default $internal.globalRevision) -}}
      {{- $found = . -}}
    {{- end -}}
  {{- end -}}
  {{- $found | toJson -}}
{{- end -}}

{{- /* Environment of the proxy. Arguments: context, version, resource and name of the workload, ports of its Pods. */ -}}
{{- define "istio.proxy_env" -}}
  {{- $context := index . 0 -}}
  {{- $name := index . 3 -}}
  {{- $istiod := printf "istiod-%s.d8-istio.svc:15012" (index . 1).revision -}}
- name: PILOT_CERT_PROVIDER
  value: istiod
- name: CA_ADDR
  value: {{ $istiod }}
- name: TRUST_DOMAIN
  value: {{ $context.Values.global.discovery.clusterDomain }}
- name: PROXY_CONFIG
  value: {{ dict "discoveryAddress" $istiod | toJson | quote }}
- name: ISTIO_META_CLUSTER_ID
  value: {{ include "istio.cluster_id" $context }}
- name: ISTIO_META_NETWORK
  value: {{ include "istio.network_name" $context }}
- name: ISTIO_META_MESH_ID
  value: {{ $context.Values.global.discovery.clusterDomain }}
- name: ISTIO_META_WORKLOAD_NAME
  value: {{ $name }}
- name: ISTIO_META_OWNER
  value: kubernetes://apis/apps/v1/namespaces/d8-istio/{{ index . 2 }}/{{ $name }}
- name: ISTIO_META_POD_PORTS
  value: {{ index . 4 | toJson | quote }}
- name: ISTIO_META_NODE_NAME
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: INSTANCE_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
- name: HOST_IP
  valueFrom:
    fieldRef:
      fieldPath: status.hostIP
- name: SERVICE_ACCOUNT
  valueFrom:
    fieldRef:
      fieldPath: spec.serviceAccountName
{{- end -}}

{{- define "istio.proxy_volume_mounts" -}}
- name: workload-socket
  mountPath: /var/run/secrets/workload-spiffe-uds
- name: credential-socket
  mountPath: /var/run/secrets/credential-uds
- name: workload-certs
  mountPath: /var/run/secrets/workload-spiffe-credentials
- name: istiod-ca-cert
  mountPath: /var/run/secrets/istio
  readOnly: true
- name: istio-data
  mountPath: /var/lib/istio/data
- name: istio-envoy
  mountPath: /etc/istio/proxy
- name: istio-token
  mountPath: /var/run/secrets/tokens
  readOnly: true
- name: istio-podinfo
  mountPath: /etc/istio/pod
  readOnly: true
{{- end -}}

{{- define "istio.proxy_volumes" -}}
- name: workload-socket
  emptyDir: {}
- name: credential-socket
  emptyDir: {}
- name: workload-certs
  emptyDir: {}
- name: istiod-ca-cert
  configMap:
    name: istio-ca-root-cert
- name: istio-data
  emptyDir: {}
- name: istio-envoy
  emptyDir:
    medium: Memory
- name: istio-token
  projected:
    sources:
      - serviceAccountToken:
          path: istio-token
          audience: istio-ca
          expirationSeconds: 43200
- name: istio-podinfo
  downwardAPI:
    items:
      - path: labels
        fieldRef:
          fieldPath: metadata.labels
      - path: annotations
        fieldRef:
          fieldPath: metadata.annotations
{{- end -}}
