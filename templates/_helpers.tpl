{{- /*
  "true" when federation or multicluster is enabled; empty otherwise. Every component asks this first, so settings that
  the cluster does not allow are rejected here, before a template fails with an error of its own.
*/ -}}
{{- define "istio.alliance_enabled" -}}
  {{- include "istio.check_settings" . -}}
  {{- if or .Values.istio.federation.enabled .Values.istio.multicluster.enabled -}}
    true
  {{- end -}}
{{- end -}}

{{- /* Fails unless the hooks supplied what every cluster shows its peers. */ -}}
{{- define "istio.require_identity" -}}
  {{- if not .Values.istio.internal.ca.root -}}
    {{- fail "istio: there is no certificate authority yet; if the settings `ca.*` hold one, the status of ModuleConfig istio says why it was rejected" -}}
  {{- end -}}
  {{- if not (and .Values.istio.internal.remoteAuthnKeypair.priv .Values.istio.internal.remoteAuthnKeypair.pub) -}}
    {{- fail "istio: there is no keypair for `federation.enabled` or `multicluster.enabled` yet: hook remote_authn_keypair has not stored one" -}}
  {{- end -}}
{{- end -}}

{{- /* Fails when settings contradict the cluster or its global settings. What settings alone decide is in openapi/ and lib/settings. */ -}}
{{- define "istio.check_settings" -}}
  {{- $https := .Values.istio.https | default .Values.global.modules.https | default dict -}}
  {{- /* The mode may be the cluster's own; without peers the module has no Ingress that it applies to. */ -}}
  {{- if and (eq ($https.mode | default "") "CertManager") (or .Values.istio.federation.enabled .Values.istio.multicluster.enabled) -}}
    {{- if not (has "cert-manager" .Values.global.enabledModules) -}}
      {{- fail "istio: `https.mode` is CertManager, but the cluster has no cert-manager: install it or choose another mode" -}}
    {{- end -}}
    {{- if not .Values.global.modules.publicDomainTemplate -}}
      {{- fail "istio: `https.mode` is CertManager, but global `modules.publicDomainTemplate` is not set, so there is no name to issue a certificate for: set it or choose another mode" -}}
    {{- end -}}
  {{- end -}}
{{- end -}}

{{- /* The registry's credentials, when there are any: Deckhouse supplies the module's, the operator those of a person's Secret. */ -}}
{{- define "istio.registry_credentials" -}}
  {{- (.Values.istio.registry | default dict).dockercfg | default .Values.global.modulesImages.registry.credentials | default "" -}}
{{- end -}}

{{- /* The registry's credentials for a Pod. */ -}}
{{- define "istio.image_pull_secrets" -}}
  {{- if include "istio.registry_credentials" . }}
imagePullSecrets:
  - name: istio-registry
  {{- end }}
{{- end -}}

{{- /*
  Requests of a container: storage for its logs, and the rest where no VPA sets it. Arguments: context, cpu, memory, and the
  limit of memory, if there is one: it comes with requests always, since Kubernetes would take it for the request.
*/ -}}
{{- define "istio.resources" -}}
  {{- $context := index . 0 -}}
resources:
  requests:
    {{- include "helm_lib_module_ephemeral_storage_only_logs" $context | nindent 4 }}
  {{- if or (gt (len .) 3) (not (include "istio.vpa_enabled" $context)) }}
    cpu: {{ index . 1 }}
    memory: {{ index . 2 }}
  {{- end }}
  {{- if gt (len .) 3 }}
  limits:
    memory: {{ index . 3 }}
  {{- end }}
{{- end -}}

{{- /* "true" when the cluster scales requests by itself; empty otherwise. */ -}}
{{- define "istio.vpa_enabled" -}}
  {{- if and (has "vertical-pod-autoscaler" .Values.global.enabledModules) (.Capabilities.APIVersions.Has "autoscaling.k8s.io/v1/VerticalPodAutoscaler") -}}
    true
  {{- end -}}
{{- end -}}

{{- /* Spec of a VerticalPodAutoscaler. Arguments: kind and name of the workload, its container, least and most cpu and memory. */ -}}
{{- define "istio.vpa_spec" -}}
targetRef:
  apiVersion: apps/v1
  kind: {{ index . 0 }}
  name: {{ index . 1 }}
updatePolicy:
  updateMode: Initial
resourcePolicy:
  containerPolicies:
    - containerName: {{ index . 2 }}
      minAllowed:
        cpu: {{ index . 3 }}
        memory: {{ index . 4 }}
      maxAllowed:
        cpu: {{ index . 5 }}
        memory: {{ index . 6 }}
      {{- /* A limit is what a hostile peer may cost at most: it does not follow what is used at rest. */}}
      controlledValues: RequestsOnly
{{- end -}}

{{- /*
  Name of the Istio network of this cluster's Pods, as lib/metadata.NetworkName. It is there even where the cluster joins
  no other: Pods learn it when they are injected, and need no restart when the cluster joins a mesh later.
*/ -}}
{{- define "istio.network_name" -}}
  {{- $discovery := .Values.global.discovery -}}
  {{- printf "network-%s-%s" ($discovery.clusterDomain | replace "." "-" | trunc 40 | trimAll "-") ($discovery.clusterUUID | sha256sum | trunc 8) -}}
{{- end -}}

{{- /*
  Name of the Secret with the certificate that the world sees at one of our Ingresses; empty when there is none. A person's
  own certificate that could not be read yet is none: the hook copy_custom_certificate warns of it, and everything else goes on
  without it. Arguments: context, name where the module makes the Secret.
*/ -}}
{{- define "istio.public_tls_secret" -}}
  {{- $context := index . 0 -}}
  {{- $custom := $context.Values.istio.internal.customCertificateData | default dict -}}
  {{- $unread := not (and (index $custom "tls.crt") (index $custom "tls.key")) -}}
  {{- if and (include "helm_lib_module_https_ingress_tls_enabled" $context) (not (and (eq (include "helm_lib_module_https_mode" $context) "CustomCertificate") $unread)) -}}
    {{- include "helm_lib_module_https_secret_name" (list $context (index . 1)) -}}
  {{- end -}}
{{- end -}}

{{- /* "true" when peers enter this cluster by its gateway; empty otherwise. */ -}}
{{- define "istio.ingressgateway_wanted" -}}
  {{- include "istio.check_settings" . -}}
  {{- if or .Values.istio.federation.enabled (and .Values.istio.multicluster.enabled .Values.istio.internal.multiclusterWantsIngressGateway) -}}
    true
  {{- end -}}
{{- end -}}

{{- /*
  Annotations of an Ingress that lead peers' client certificates to one of our listeners. The argument is the way, as
  "istio.peer_certificates" returns it (templates/metadata-exporter/ingress.yaml describes the three).
*/ -}}
{{- define "istio.peer_ingress_annotations" -}}
nginx.ingress.kubernetes.io/backend-protocol: HTTPS
  {{- if eq . "Header" }}
nginx.ingress.kubernetes.io/proxy-ssl-secret: d8-istio/metadata-exporter-ingress-client
nginx.ingress.kubernetes.io/auth-tls-secret: d8-istio/metadata-exporter-ingress-client
nginx.ingress.kubernetes.io/auth-tls-verify-client: optional_no_ca
nginx.ingress.kubernetes.io/auth-tls-verify-depth: "8"
nginx.ingress.kubernetes.io/auth-tls-pass-certificate-to-upstream: "true"
  {{- else if eq . "Passthrough" }}
nginx.ingress.kubernetes.io/ssl-passthrough: "true"
  {{- end }}
{{- end -}}

{{- /* How this cluster is called inside the mesh: domains may be shared (multicluster), the UUID is not. */ -}}
{{- define "istio.cluster_id" -}}
  {{- .Values.global.discovery.clusterUUID -}}
{{- end -}}
