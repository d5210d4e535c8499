{{- /*
  What proxies trust of the other clusters of the same mesh, as a JSON list for MeshConfig.caCertificates: not their roots
  but anchors that count for the common trust domain only (lib/trustanchor), so that none of them speaks for a federated
  cluster. Within the mesh they do speak for each other: its clusters depend on one another.
*/ -}}
{{- define "istio.multicluster_roots" -}}
  {{- $roots := list -}}
  {{- if .Values.istio.multicluster.enabled -}}
    {{- range .Values.istio.internal.multiclusters -}}
      {{- range .anchors -}}
        {{- $roots = append $roots (dict "pem" .) -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
  {{- $roots | toJson -}}
{{- end -}}

{{- /*
  Changes when an istiod of this version must be restarted because a peer's kubeconfig was replaced; empty otherwise. Most
  read that cluster again; lib/istioversion lists those that then stop reading remote clusters. Arguments: context, version.
*/ -}}
{{- define "istio.remote_secrets_restart" -}}
  {{- $values := (index . 0).Values.istio -}}
  {{- if and $values.multicluster.enabled $values.internal.replacedKubeconfigs (index . 1).restartOnReplacedKubeconfig -}}
    {{- $values.internal.replacedKubeconfigs | toJson | sha256sum -}}
  {{- end -}}
{{- end -}}

{{- /*
  Istio's MeshNetworks, as YAML: by which gateways the networks of the other clusters are entered. A network that is not
  listed has none, so istiod takes its Pods for directly reachable: that is what enableIngressGateway: false wants. The
  network of a Pod is the label topology.istio.io/network of the peer's namespace d8-istio, else what fromRegistry says.
*/ -}}
{{- define "istio.mesh_networks" -}}
  {{- $networks := dict -}}
  {{- if .Values.istio.multicluster.enabled -}}
    {{- range .Values.istio.internal.multiclusters -}}
      {{- if and .networkName .ingressGateways -}}
        {{- $_ := set $networks .networkName (dict "endpoints" (list (dict "fromRegistry" .name)) "gateways" .ingressGateways) -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
  {{- dict "networks" $networks | toYaml -}}
{{- end -}}
