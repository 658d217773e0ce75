{{/* What is told of a listener, as (list . "fleet"): advertise, else the host with the Service's port. */}}
{{- define "tributary.told" -}}
{{- $root := index . 0 -}}
{{- $kind := index . 1 -}}
{{- $host := $root.Values.federation.host -}}
{{- if contains ":" $host -}}
{{- $host = printf "[%s]" $host -}}
{{- end -}}
{{- $port := get (set (deepCopy $root.Values.service.ports) "tunnel" $root.Values.tunnel.port) $kind -}}
{{- default (printf "%s:%v" $host $port) (get $root.Values.advertise $kind) -}}
{{- end -}}

{{/* Host of an address told, for routers by server name. */}}
{{- define "tributary.toldHost" -}}
{{- include "tributary.told" . | regexFind "^(\\[.*\\]|[^:]+)" | trimAll "[]" -}}
{{- end -}}
