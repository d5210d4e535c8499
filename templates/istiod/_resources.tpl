{{- /*
  A setting resourcesManagement, as JSON, in one form: quantities are text, however a person wrote them, and what is null or a
  limit of 0 is left out. Below vpa, `limits` are the limits that follow from limitRatio.
*/ -}}
{{- define "istio.resources_management" -}}
  {{- $given := . -}}
  {{- $static := dict "requests" dict "limits" dict -}}
  {{- range $kind, $amounts := $static -}}
    {{- range $name, $amount := get ($given.static | default dict) $kind | default dict -}}
      {{- $text := include "istio.quantity" $amount -}}
      {{- if and $text (or (eq $kind "requests") (regexMatch "[1-9]" $text)) -}}
        {{- $_ := set $amounts $name $text -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}

  {{- $vpa := dict "limits" dict -}}
  {{- with $given.vpa -}}
    {{- with .mode -}}
      {{- $_ := set $vpa "mode" . -}}
    {{- end -}}
    {{- range $name := list "cpu" "memory" -}}
      {{- $bounds := get $given.vpa $name | default dict -}}
      {{- $min := include "istio.quantity" $bounds.min -}}
      {{- $_ := set $vpa $name (dict "min" $min "max" (include "istio.quantity" $bounds.max)) -}}
      {{- with $bounds.limitRatio -}}
        {{- $_ := set $vpa.limits $name (include (printf "istio.%s_times" $name) (list $min .)) -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
  {{- dict "mode" $given.mode "static" $static "vpa" $vpa | toJson -}}
{{- end -}}

{{- /* Requests and limits that a Pod is created with, as JSON; without limits when there are none. Argument: what "istio.resources_management" returns. */ -}}
{{- define "istio.pod_resources" -}}
  {{- $resources := .static -}}
  {{- if eq .mode "VPA" -}}
    {{- $resources = dict "requests" (dict "cpu" .vpa.cpu.min "memory" .vpa.memory.min) "limits" .vpa.limits -}}
  {{- end -}}
  {{- if $resources.limits -}}
    {{- $resources | toJson -}}
  {{- else -}}
    {{- omit $resources "limits" | toJson -}}
  {{- end -}}
{{- end -}}

{{- /* A quantity as text; empty for null. Large numbers have no exponent: Deckhouse's library does not read one. */ -}}
{{- define "istio.quantity" -}}
  {{- if kindIs "string" . -}}
    {{- . -}}
  {{- else if not (kindIs "invalid" .) -}}
    {{- toJson . -}}
  {{- end -}}
{{- end -}}

{{- /* A quantity of CPU, multiplied, in thousandths. Arguments: quantity, factor. */ -}}
{{- define "istio.cpu_times" -}}
  {{- $text := index . 0 -}}
  {{- $number := trimSuffix "m" $text | float64 -}}
  {{- $thousandths := ternary 1 1000 (hasSuffix "m" $text) -}}
  {{- printf "%dm" (mulf $number $thousandths (index . 1) | ceil | int64) -}}
{{- end -}}

{{- /* A quantity of memory, multiplied, in bytes. Arguments: quantity, factor. */ -}}
{{- define "istio.memory_times" -}}
  {{- $text := index . 0 -}}
  {{- $unit := regexFind "[A-Za-z]+$" $text -}}
  {{- $number := trimSuffix $unit $text | float64 -}}
  {{- $bytes := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18
      "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 "Ei" 1152921504606846976 -}}
  {{- printf "%d" (mulf $number (get $bytes $unit) (index . 1) | ceil | int64) -}}
{{- end -}}
